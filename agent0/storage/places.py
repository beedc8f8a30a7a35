"""Files and folders of commands at places: a local path is used where it lies, an `s3://` place through this machine.

What is read from S3 is fetched first. What is written there is made here and stored when it is whole.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent0.errors import UsageError
from agent0.storage import transfer
from agent0.storage.cache import cache_root
from agent0.storage.uri import NotThereError, is_in_s3, parse


@contextmanager
def read_file(place: str) -> Iterator[Path]:
    """Yield a path of the file at `place`, under its own name, for the length of the block.

    A local file need not be there.

    Raises:
        StorageError: there is none in S3, it is not what was stored, or the store refuses or does not answer.
    """
    if not is_in_s3(place):
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
    if not is_in_s3(place):
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
    if not is_in_s3(place):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="agent0-") as temporary:
        folder = Path(temporary) / _name(place)
        for record in transfer.manifest_of(place).files:
            if wanted(record.path):
                transfer.get(f"{place.rstrip('/')}/{record.path}", folder / record.path)
        yield folder


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


@contextmanager
def output_folder(place: str, *, resume: bool) -> Iterator[OutputFolder]:
    """Yield the folder to work in; where `place` is in S3, it is stored there when the block ends without an error.

    For a place in S3 the folder lies in the cache, and is removed once it is stored. After an error it stays, so that
    the same place finds it again on this machine.

    Args:
        place: what the folder is called from outside.
        resume: go on with what is stored in S3, if anything is; what lies on this machine is gone on with in any case.

    Raises:
        UsageError: a whole folder is in S3 already, and it is not to be gone on with.
        StorageError: what is in S3 is not whole, or the store refuses or does not answer.
    """
    if not is_in_s3(place):
        yield OutputFolder(str(Path(place)), Path(place))
        return
    place = str(parse(place))
    folder = cache_root() / "output" / f"{_name(place)}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    if not folder.exists() and _is_stored(place):
        if not resume:
            raise UsageError(
                f"{place} is stored already; name another place, or add --resume where the command takes it, to go on "
                "with what is there."
            )
        transfer.get(place, folder)
    output = OutputFolder(place, folder)
    yield output
    output.store()
    shutil.rmtree(folder)


def _is_stored(place: str) -> bool:
    try:
        transfer.manifest_of(place)
    except NotThereError:
        return False
    return True


def _name(place: str) -> str:
    return place.rstrip("/").rpartition("/")[2]
