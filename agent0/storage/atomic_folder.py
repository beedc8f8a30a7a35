"""A folder that takes shape beside its final place and moves there whole."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target`, alone among processes, that takes the place of `target` at the end of the block.

    It holds what an earlier attempt left in it, and an error keeps it for the next one. An error, and a block that
    removes the folder that it was given, leave `target` as it was.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    descriptor = _locked(partial)
    whole, replaced = partial / "whole", partial / "replaced"
    try:
        shutil.rmtree(replaced, ignore_errors=True)
        whole.mkdir(exist_ok=True)
        yield whole
        if whole.is_dir():
            if target.exists():
                target.replace(replaced)
            whole.replace(target)
        shutil.rmtree(partial)
    finally:
        for folder in (whole, partial):
            with suppress(OSError):  # it holds something, or is not there
                folder.rmdir()
        os.close(descriptor)


def _locked(folder: Path) -> int:
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
