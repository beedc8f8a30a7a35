"""The manifest of a stored folder: which files it has, how long they are, and their sha256.

It is the last object that a transfer writes and the first that a removal takes away, so a folder without one does not
exist for any reader. Empty folders inside a folder are not recorded.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from agent0.storage.uri import StorageError

MANIFEST = "manifest.json"
FORMAT = "agent0-folder-1"
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class FileRecord:
    """One file of a folder: its path relative to the folder with forward slashes, bytes, and sha256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of a folder, sorted by path.

    Attributes:
        files: every file that belongs to it.
        digest: of a stage's finished output, the `folder_digest` of what it holds; see `agent0.storage.seal`.
    """

    files: tuple[FileRecord, ...]
    digest: str = ""

    @property
    def size(self) -> int:
        """All bytes of the folder, without the manifest."""
        return sum(record.size for record in self.files)

    def to_bytes(self) -> bytes:
        """Return the JSON that `from_bytes` reads; equal folders give equal bytes."""
        digest = {"digest": self.digest} if self.digest else {}
        value = {"format": FORMAT, **digest, "files": [asdict(record) for record in sorted(self.files)]}
        return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Read a manifest, trusting nothing in it.

        Raises:
            StorageError: it is no manifest, is damaged, or names a file outside the folder.
        """
        try:
            value = json.loads(data)
            if value["format"] != FORMAT:
                raise ValueError(f"its format is {value['format']!r}")
            files = [FileRecord(str(item["path"]), int(item["size"]), str(item["sha256"])) for item in value["files"]]
            digest = str(value.get("digest", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{where} is no manifest of a folder of Agent0 ({error!r}); copy the folder "
                "there again, or read another."
            ) from error
        _check(files, where)
        return cls(tuple(sorted(files)), digest)


def is_manifest(path: Path) -> bool:
    """Say whether the file at `path` is a manifest of a stored folder, not somebody's file of that name."""
    try:
        Manifest.from_bytes(path.read_bytes(), str(path))
    except StorageError:
        return False
    return True


def is_inside(path: str) -> bool:
    """Say whether `path` is the plain relative path of a file that lies inside its folder."""
    parts = PurePosixPath(path).parts
    return bool(parts) and "/".join(parts) == path and ".." not in parts and parts[0] != "/" and "\0" not in path


def record_of(path: Path, name: str) -> FileRecord:
    """Return what a manifest says of the file at `path`, which is called `name` in its folder."""
    return FileRecord(name, path.stat().st_size, file_sha256(path))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(files: list[FileRecord], where: str) -> None:
    for record in files:
        if not is_inside(record.path) or record.path == MANIFEST:
            raise StorageError(f"{where} names the file {record.path!r}, which lies outside its folder; do not use it.")
        if record.size < 0 or not SHA256.fullmatch(record.sha256):
            raise StorageError(f"{where} is damaged at {record.path!r}; copy the folder there again.")
    if len({record.path for record in files}) < len(files):
        raise StorageError(f"{where} names a file twice; copy the folder there again.")
