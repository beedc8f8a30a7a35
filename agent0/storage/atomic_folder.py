"""A folder that takes shape beside its final place and moves there whole.

What a broken transfer has fetched stays in `.NAME.partial` for the next one. Two processes that want the same folder
take turns.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent0.storage.manifest import FileRecord, Manifest, file_sha256
from agent0.storage.uri import StorageError


class Landing:
    """The partial folder of one target."""

    def __init__(self, target: Path, partial: Path) -> None:
        self._target = target
        self._partial = partial
        self._whole = partial / "whole"
        self._incoming = partial / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._whole.mkdir(exist_ok=True)
        self._incoming.mkdir()

    def has(self, record: FileRecord) -> bool:
        """Say whether the file is here and right: from a broken transfer, or in the target as it was."""
        place = self._whole / record.path
        if _is(place, record):
            return True
        older = self._target / record.path
        if not _is(older, record):
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        os.link(older, place)
        return True

    def incoming(self, record: FileRecord) -> Path:
        """Return where to write a file that is to be checked."""
        path = self._incoming / record.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def accept(self, record: FileRecord, where: str) -> None:
        """Take the file that was written to `incoming`.

        Raises:
            StorageError: it is not what the manifest says.
        """
        path = self._incoming / record.path
        check(path, record, where)
        place = self._whole / record.path
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)

    def finish(self, manifest: Manifest) -> None:
        """Move the folder into place; what an older transfer of other content left is thrown away."""
        wanted = {record.path for record in manifest.files}
        for path in list(self._whole.rglob("*")):
            if path.is_file() and path.relative_to(self._whole).as_posix() not in wanted:
                path.unlink()
        if self._target.exists():
            self._target.replace(self._partial / "replaced")
        self._whole.replace(self._target)
        shutil.rmtree(self._partial)


@contextmanager
def landing(target: Path, manifest: Manifest) -> Iterator[Landing]:
    """Prepare to fill the folder `target`, alone among processes.

    Raises:
        StorageError: `target` holds files that are not of the folder, or is no folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    descriptor = locked(partial)
    try:
        _refuse_strangers(target, manifest)
        shutil.rmtree(partial / "replaced", ignore_errors=True)
        yield Landing(target, partial)
    finally:
        os.close(descriptor)


def check(path: Path, record: FileRecord, where: str) -> None:
    """Compare a fetched file with what it should be.

    Raises:
        StorageError: its size or its content differ.
    """
    size = path.stat().st_size
    sha256 = file_sha256(path)
    if (size, sha256) != (record.size, record.sha256):
        raise StorageError(
            f"{where} is not what was stored there: {size:,} bytes with sha256 {sha256[:12]}… instead of "
            f"{record.size:,} with {record.sha256[:12]}…. It was changed or damaged since; copy it there again from "
            "its source, and do not use it as it is."
        )


def _is(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.size and file_sha256(path) == record.sha256


def locked(folder: Path) -> int:
    """Lock a folder that the process holding the lock before may have removed meanwhile."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.is_dir() and folder.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)


def _refuse_strangers(target: Path, manifest: Manifest) -> None:
    if target.exists() and not target.is_dir():
        raise StorageError(f"{target} is a file, and a folder is to be copied there; name another place.")
    wanted = {record.path for record in manifest.files}
    found = (path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir())
    strangers = sorted(path for path in found if path not in wanted)
    if strangers:
        raise StorageError(
            f"{target} holds files that are not of the folder to be copied there ({', '.join(strangers[:3])}"
            f"{', …' if len(strangers) > 3 else ''}); name an empty or a new folder."
        )
