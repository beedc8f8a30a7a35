"""Writing a file so that no reader ever sees half of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from agent0.errors import UsageError, explain, is_disk_full
from agent0.storage.uri import StorageError

TEMPORARY_SUFFIX = ".agent0-tmp"
"""Of the names of files that are still being written."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file that the block writes there is moved to `path` at its end.

    An error in the block leaves `path` as it was. Where `path` is a link, what it leads to is written.

    Raises:
        UsageError: `path` is a folder, a device or a pipe, whose place a file would take.
        StorageError: the disk is full, or the system does not let a file be written there.
    """
    with _refused(path) as names:
        target = path.resolve() if path.is_symlink() else path
        temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
        names |= {str(name) for name in (target, temporary, *target.parents)}
        if target.exists() and not target.is_file():
            raise UsageError(f"{path} is {_kind(target)}, and a file is to be written there; name a file.")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            with suppress(OSError):  # where it could not be made, it cannot be removed
                temporary.unlink()


@contextmanager
def _refused(path: Path) -> Iterator[set[str]]:
    """Explain why the file at `path` could not be written; errors of other names than those that are yielded pass."""
    names = {str(path)}
    try:
        yield names
    except OSError as error:
        if is_disk_full(error):
            raise StorageError(f"{path} was not written: {explain(error)}") from error
        if str(error.filename) not in names:
            raise
        raise StorageError(f"{path} cannot be written ({error.strerror}); name another place for it.") from error


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "a device" if path.is_char_device() or path.is_block_device() else "a pipe or a socket"


@contextmanager
def atomic_write(path: Path) -> Iterator[TextIO]:
    """Open a temporary UTF-8 text file beside `path` and move it there when the block ends without an error."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are errors, since no JSON reader takes them."""
    with atomic_write(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
