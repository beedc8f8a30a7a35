"""A cache of folders on this machine, addressed by what they hold, bounded in size, shared by processes.

`AGENT0_CACHE` names its root (else the user's cache), `AGENT0_CACHE_GB` its limit. A folder is filled by one process
while others wait, is never removed while one uses it, and otherwise the one that was used longest ago goes first.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent0.storage.open_store import disk_errors
from agent0.storage.transfer_settings import number_from

ROOT_VARIABLE = "AGENT0_CACHE"
LIMIT_VARIABLE = "AGENT0_CACHE_GB"
DEFAULT_LIMIT_GB = 100.0
FILL_SUFFIX, USE_SUFFIX = ".fill", ".use"
GIGABYTE = 10**9


def cache_root() -> Path:
    """Return `AGENT0_CACHE`, or `agent0` in the user's cache folder."""
    return Path(os.environ.get(ROOT_VARIABLE) or Path.home() / ".cache" / "agent0")


@contextmanager
def cached(sha256: str, fill: Callable[[Path], None]) -> Iterator[Path]:
    """Yield the cached folder of a content, which is not removed while the block lasts.

    Args:
        sha256: names the content.
        fill: writes the folder or, where it is there, sees that it still is right; it alone may write then.

    Raises:
        StorageError: the disk is full or refuses, or whatever `fill` raises.
    """
    limit = number_from(os.environ, LIMIT_VARIABLE, DEFAULT_LIMIT_GB, 0)
    root = cache_root() / "content"
    folder = root / sha256
    with disk_errors(f"the cache {root}"):
        root.mkdir(parents=True, exist_ok=True)
        use = _open_lock(root, sha256, USE_SUFFIX)
        try:
            with _filling(root, sha256):
                fill(folder)
                # Taken while no other process may remove the folder.
                fcntl.flock(use, fcntl.LOCK_SH)
            os.utime(use)
            _evict(root, round(limit * GIGABYTE))
        except BaseException:
            os.close(use)
            raise
    try:
        yield folder
    finally:
        os.close(use)


def _evict(root: Path, limit: int) -> None:
    """Remove folders that nobody uses, the one used longest ago first, until the rest is within the limit."""
    sizes = {path: _size(path) for path in root.iterdir() if path.is_dir()}
    excess = sum(sizes.values()) - limit
    for folder in sorted(sizes, key=_last_use):
        if excess <= 0:
            return
        use = _open_lock(root, _content(folder), USE_SUFFIX)
        try:
            with _filling(root, _content(folder), wait=False):
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                excess -= sizes[folder]
        except (BlockingIOError, FileNotFoundError):
            continue  # in use, or another process has just removed it
        finally:
            os.close(use)


@contextmanager
def _filling(root: Path, sha256: str, *, wait: bool = True) -> Iterator[None]:
    """Hold the right to write or remove a folder for the length of the block."""
    descriptor = _open_lock(root, sha256, FILL_SUFFIX)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _open_lock(root: Path, sha256: str, suffix: str) -> int:
    return os.open(root / f"{sha256}{suffix}", os.O_RDWR | os.O_CREAT, 0o666)


def _content(folder: Path) -> str:
    """Return which content a folder holds; what a broken transfer left counts as the content that it was for."""
    return folder.name.removeprefix(".").removesuffix(".partial")


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # another process removes this folder
            continue
    return total


def _last_use(folder: Path) -> float:
    lock = folder.with_name(f"{_content(folder)}{USE_SUFFIX}")
    return lock.stat().st_mtime if lock.exists() else 0.0
