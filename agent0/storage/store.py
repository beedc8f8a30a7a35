"""What a transfer needs of a store, and the store that is a local disk.

Files of the local store are whole or absent; see `agent0.storage.atomic_file`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent0.storage.atomic_file import TEMPORARY_SUFFIX, atomic_path
from agent0.storage.folder_files import files_under
from agent0.storage.manifest import MANIFEST, FileRecord, Manifest, file_sha256
from agent0.storage.transfer_threads import Meter
from agent0.storage.uri import Location, NotThereError, StorageError, join


@dataclass(frozen=True)
class Item:
    """An object or file in a store.

    Attributes:
        size: bytes.
        version: changes whenever the content does (the ETag in S3).
        sha256: of the content in hex; None where the store does not know it.
    """

    size: int
    version: str
    sha256: str | None


class Store(Protocol):
    """Objects by key; a key's parts are separated by slashes."""

    def name(self, key: str) -> Location:
        """Return what a person calls `key`."""

    def find(self, key: str) -> Item | None:
        """Return the object at `key`, None if there is none."""

    def listing(self, prefix: str) -> dict[str, Item]:
        """Return all objects under `prefix`/ by their full key, without sha256."""

    def children(self, prefix: str) -> tuple[list[str], list[str]]:
        """Return the names directly under `prefix`/: objects, and prefixes of further objects."""

    def read(self, key: str) -> bytes | None:
        """Return a small object's content, None if there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Write a small object, whole or not at all."""

    def send(self, source: Path, key: str, record: FileRecord, meter: Meter) -> str:
        """Copy the file `source`, which is as `record` says, to `key`, whole or not at all; return its version."""

    def fetch(self, key: str, target: Path, meter: Meter) -> None:
        """Copy the object to the file `target`, which is the caller's to check and to move."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""


def read_manifest(store: Store, key: str) -> Manifest | None:
    """Return the manifest of the folder at `key`, None if there is none."""
    place = join(key, MANIFEST)
    data = store.read(place)
    return None if data is None else Manifest.from_bytes(data, str(store.name(place)))


class LocalStore:
    """Files on a disk of this machine; keys are absolute paths."""

    def name(self, key: str) -> Location:
        """Return the path."""
        return Location(None, key)

    def find(self, key: str) -> Item | None:
        """Return the file at `key` with its sha256, which takes reading it."""
        path = Path(key)
        if not path.is_file():
            return None
        return Item(path.stat().st_size, _version(path), file_sha256(path))

    def listing(self, prefix: str) -> dict[str, Item]:
        """Return all files under `prefix` by path; files that are still being written are left out."""
        files = (path for path in files_under(Path(prefix), whole=False) if path.suffix != TEMPORARY_SUFFIX)
        return {str(path): Item(path.stat().st_size, _version(path), None) for path in files}

    def children(self, prefix: str) -> tuple[list[str], list[str]]:
        """Return the names of the files and of the folders directly in the folder `prefix`."""
        folder = Path(prefix)
        paths = [path for path in folder.iterdir() if path.suffix != TEMPORARY_SUFFIX] if folder.is_dir() else []
        return [path.name for path in paths if path.is_file()], [path.name for path in paths if path.is_dir()]

    def read(self, key: str) -> bytes | None:
        """Return the content of a file, None if there is none."""
        path = Path(key)
        return path.read_bytes() if path.is_file() else None

    def write(self, key: str, data: bytes) -> None:
        """Write a file."""
        with atomic_path(Path(key)) as temporary:
            temporary.write_bytes(data)

    def send(self, source: Path, key: str, record: FileRecord, meter: Meter) -> str:
        """Copy a file and check the copy."""
        with atomic_path(Path(key)) as temporary:
            shutil.copyfile(source, temporary)
            if file_sha256(temporary) != record.sha256:
                raise StorageError(f"{source} changed while it was copied to {key}; copy it once nothing writes to it.")
            version = _version(temporary)
        meter.add(record.size)
        return version

    def fetch(self, key: str, target: Path, meter: Meter) -> None:
        """Copy a file."""
        try:
            shutil.copyfile(key, target)
        except FileNotFoundError as error:
            raise NotThereError(f"{key} is not there.") from error
        meter.add(target.stat().st_size)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files, and folders with all that is in them."""
        for path in map(Path, keys):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                # Not a directory: a part of the path is a file, so there is nothing under it.
                with suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()


def _version(path: Path) -> str:
    status = path.stat()
    return f"{status.st_ino}-{status.st_mtime_ns}"
