"""The folder that one program may write, fresh for each run and gone after it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import namespaces

MAX_ENTRIES = 8192
MAX_DEPTH = 400  # each takes a descriptor while the tree is measured


@dataclass(frozen=True)
class Folder:
    """A scratch folder as its program names it: `path` below `root`."""

    root: str
    path: str


class Scratch(Protocol):
    """Where scratch folders come from."""

    bounded: bool  # whether the kernel bounds the folder's size; else the server has to watch it

    def make(self, slot: int, uid: int) -> Folder:
        """An empty folder that `uid` owns."""
        ...

    def remove(self, slot: int) -> None:
        """Remove the folder of `slot` and all that is in it."""
        ...


class MountedScratch:
    """A file system in memory per run: bounded by the kernel and gone in microseconds; needs a mount namespace."""

    bounded = True

    def __init__(self, size_mb: int, path: str) -> None:
        self._size_mb = size_mb
        self._path = path

    def make(self, slot: int, uid: int) -> Folder:
        """See `Scratch.make`."""
        root = namespaces.slot_root(slot)
        namespaces.mount_scratch(root + self._path, self._size_mb, uid)
        return Folder(root, self._path)

    def remove(self, slot: int) -> None:
        """See `Scratch.remove`."""
        namespaces.unmount(namespaces.slot_root(slot) + self._path)


class FolderScratch:
    """A plain folder per run below `root`; its size is watched, not bounded."""

    bounded = False

    def __init__(self, root: str) -> None:
        self._root = root

    def make(self, slot: int, uid: int) -> Folder:
        """See `Scratch.make`."""
        path = f"{self._root}/{slot}"
        Path(path).mkdir(0o700)
        if uid != os.geteuid():
            os.chown(path, uid, uid)
        return Folder("/", path)

    def remove(self, slot: int) -> None:
        """See `Scratch.remove`."""
        remove_tree(f"{self._root}/{slot}")


def remove_tree(path: str) -> None:
    """Remove a folder that a hostile program filled: of any depth, with folders that nobody may enter.

    Inner folders are first moved up beside `path`, so neither recursion, path length nor open files grow with depth.
    """
    top = Path(path)
    pending, moved = [top], 0
    while pending:
        folder = pending.pop()
        folder.chmod(0o700)
        for entry in list(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                moved += 1
                entry.chmod(0o700)
                pending.append(entry.rename(top.with_name(f"{top.name}.{moved}")))
            else:
                entry.unlink()
        folder.rmdir()


class _Level:
    """A folder on the way down: its descriptor (-1: it could not be opened), its subfolders, and what entries take."""

    def __init__(self, name: str, parent: int | None = None) -> None:
        self.fd = _open_folder(name, parent)
        self.below: list[str] = []
        self.bytes = self.entries = 0
        if self.fd < 0:
            return
        with os.scandir(self.fd) as entries:
            for entry in entries:
                try:
                    self.bytes += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        self.below.append(entry.name)
                except OSError:
                    continue  # the program works in its folder while it is measured
                self.entries += 1
                if self.entries > MAX_ENTRIES:
                    return

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def _open_folder(name: str, parent: int | None) -> int:
    """A descriptor of a folder, made readable where the program made it unreadable; -1 where there is none."""
    try:
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return -1
    try:
        with contextlib.suppress(PermissionError):
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
        Path(f"/proc/self/fd/{handle}").chmod(0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    except OSError:
        return -1
    finally:
        os.close(handle)


def over(path: str, max_bytes: int) -> bool:
    """Whether the tree at `path` holds more than `max_bytes` or `MAX_ENTRIES` entries, or is deeper than `MAX_DEPTH`.

    Folders are opened one below the other, so that neither long names nor links made meanwhile lead anywhere else.
    """
    size = count = 0
    levels = [_Level(path)]
    try:
        while levels:
            last = levels[-1]
            size, count, last.bytes, last.entries = size + last.bytes, count + last.entries, 0, 0
            if size > max_bytes or count > MAX_ENTRIES or len(levels) > MAX_DEPTH:
                return True
            if last.below:
                levels.append(_Level(last.below.pop(), last.fd))
            else:
                levels.pop().close()
    finally:
        for level in levels:
            level.close()
    return False
