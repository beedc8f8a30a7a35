"""Files and folders of commands at places: a local path is used where it lies, an `s3://` place through this machine.

What is read from S3 is fetched first. What is written there is made here and stored when it is whole; pieces of an
unfinished folder may be kept beside its place meanwhile, so that another machine can go on with it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent0.errors import UsageError
from agent0.storage import transfer
from agent0.storage.folder_cache import cache_root
from agent0.storage.manifest import MANIFEST, Manifest
from agent0.storage.uri import NotThereError, is_in_s3, parse

UNFINISHED = ".unfinished"


@contextmanager
def read_file(place: str) -> Iterator[Path]:
    """Yield a path of the file at `place`, under its own name, for the length of the block.

    A local file need not be there.

    Raises:
        StorageError: there is none in S3, it is not what was stored, or the store refuses or does not answer.
    """
    if parse(place).bucket is None:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="agent0-") as folder:
        path = Path(folder) / _name(place)
        transfer.get(place, path)
        yield path


@contextmanager
def write_file(place: str) -> Iterator[Path]:
    """Yield a path to write a file to; where `place` is in S3, it is stored there when the block ends without an error.

    Raises:
        StorageError: the store refuses or does not answer.
    """
    if parse(place).bucket is None:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="agent0-") as folder:
        path = Path(folder) / _name(place)
        yield path
        transfer.put(path, place)


@contextmanager
def read_folder(place: str, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """Yield the folder at `place` for the length of the block; of one in S3, only the files that are wanted.

    Args:
        place: a folder.
        wanted: says of a file's path relative to the folder whether it is fetched.

    Raises:
        StorageError: there is none in S3, it is not what was stored, or the store refuses or does not answer.
    """
    if parse(place).bucket is None:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="agent0-") as temporary:
        folder = Path(temporary) / _name(place)
        for record in transfer.manifest_of(place).files:
            if wanted(record.path):
                transfer.get(f"{place.rstrip('/')}/{record.path}", folder / record.path)
        yield folder


def require_folder(folder: Path) -> None:
    """Check that files can be written to a folder of this machine, before anything is made that is to go there.

    Raises:
        UsageError: it is no folder and cannot become one, or the system lets nobody write there.
    """
    try:
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        if new:
            folder.rmdir()
    except OSError as error:
        raise UsageError(f"Nothing can be written to the folder {folder} ({error.strerror}); name another.") from error


@dataclass(frozen=True)
class OutputFolder:
    """A folder that takes shape at `folder`, and is stored at `place` where that is in S3."""

    place: str
    folder: Path

    def store(self) -> None:
        """Let others find what is in the folder now at its place.

        Raises:
            StorageError: the store refuses or does not answer.
        """
        if is_in_s3(self.place):
            transfer.put(self.folder, self.place)
            _remember(self.folder, transfer.manifest_of(self.place))

    def keep(self, piece: str) -> None:
        """Copy the file `piece` to where another machine finds it as long as the folder is not stored.

        Raises:
            StorageError: the store refuses or does not answer.
        """
        if is_in_s3(self.place):
            transfer.put(self.folder / piece, f"{self.place}{UNFINISHED}/{piece}")


@contextmanager
def output_folder(place: str, *, resume: bool, pieces: Sequence[str] = ()) -> Iterator[OutputFolder]:
    """Yield the folder to work in; where `place` is in S3, it is stored there when the block ends without an error.

    For a place in S3 the folder lies in the cache, and is removed once it is stored. After an error it stays, so that
    the same place finds it again on this machine.

    Args:
        place: what the folder is called from outside.
        resume: go on with what is stored in S3, if anything is; what lies on this machine is gone on with in any case.
        pieces: files that `OutputFolder.keep` may have copied from another machine, whose work is gone on with.

    Raises:
        UsageError: `place` is a whole bucket, or no folder that can be written to; or a whole folder is there already,
            and is not to be gone on with, or what lies on this machine does not come from it.
        StorageError: what is in S3 is not whole, or the store refuses or does not answer.
    """
    location = parse(place)
    if location.bucket is None:
        require_folder(Path(place))
        yield OutputFolder(str(Path(place)), Path(place))
        return
    if not location.key:
        raise UsageError(f"{place} is a whole bucket; name a folder in it, such as {place.rstrip('/')}/NAME.")
    place = str(location)
    folder = cache_root() / "output" / f"{_name(place)}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    stored = _stored(place)
    if stored is not None and not resume:
        raise UsageError(
            f"{place} is stored already; name another place, or add --resume where the command takes it, to go on "
            "with what is there."
        )
    if not folder.exists():
        _fetch(place, folder, stored, pieces)
    elif stored is not None and not _comes_from(folder, stored):
        raise UsageError(
            f"{place} was stored from elsewhere after the unfinished work for it in {folder} began; remove that folder "
            "to go on with what is stored, or name another place."
        )
    output = OutputFolder(place, folder)
    yield output
    output.store()
    if pieces:
        transfer.remove(f"{place}{UNFINISHED}")
    shutil.rmtree(folder)


def _stored(place: str) -> Manifest | None:
    try:
        return transfer.manifest_of(place)
    except NotThereError:
        return None


def _fetch(place: str, folder: Path, stored: Manifest | None, pieces: Sequence[str]) -> None:
    if stored is not None:
        transfer.get(place, folder)
        _remember(folder, stored)
        return
    for piece in pieces:
        with suppress(NotThereError):
            transfer.get(f"{place}{UNFINISHED}/{piece}", folder / piece)


def _remember(folder: Path, stored: Manifest) -> None:
    """Note in `folder` which stored folder it goes on from; transfers leave the note out."""
    (folder / MANIFEST).write_bytes(stored.to_bytes())


def _comes_from(folder: Path, stored: Manifest) -> bool:
    note = folder / MANIFEST
    return note.is_file() and note.read_bytes() == stored.to_bytes()


def _name(place: str) -> str:
    return place.rstrip("/").rpartition("/")[2]
