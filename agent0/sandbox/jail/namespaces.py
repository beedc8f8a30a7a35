"""Namespaces of the fork server: made once, inherited by every program forked from it.

Between two programs of one server the walls are Landlock, seccomp and the user id, not namespaces: five namespaces per
run would cost more than everything else together. Leaves out cgroup namespaces.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from . import syscalls

_CLONE = {
    "mount": 0x00020000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_UNBINDABLE, _MS_PRIVATE = (
    2,
    4,
    8,
    4096,
    16384,
    1 << 17,
    1 << 18,
)
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 1

_SLOTS = "/slots"


def enter(kind: str) -> None:
    """Move the calling process into a new namespace ('pid': its next child); 'user' keeps the user and group id.

    Raises:
        OSError: the kernel, or the container's profile, refused.
    """
    uid, gid = os.geteuid(), os.getegid()
    syscalls.call(syscalls.numbers_here()["unshare"], _CLONE[kind])
    if kind == "user":
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """`mount(2)`.

    Raises:
        OSError: the kernel refused.
    """
    result = syscalls.libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode(),
    )
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), target)


def unmount(target: str) -> None:
    """Detach what is mounted on `target`; its memory goes with the last open file.

    Raises:
        OSError: the kernel refused.
    """
    if syscalls.libc.umount2(target.encode(), _MNT_DETACH) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), target)


def mount_scratch(target: str, size_mb: int, uid: int) -> None:
    """Mount an empty file system in memory on `target`, bounded in bytes and files, owned by `uid`."""
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    mount("scratch", target, "tmpfs", flags, f"size={size_mb}m,nr_inodes=8192,mode=700,uid={uid}")


def slot_root(slot: int) -> str:
    """The folder that a program of `slot` has as its root."""
    return f"{_SLOTS}/{slot}"


def minimal_root(staging: str, readable: list[str], devices: list[str], slots: int, scratch: str) -> None:
    """Replace the view of the file system by one that holds only `readable`, `devices` and an empty folder `scratch`.

    It is there once more for each slot, so that a path below `scratch` is another one in each. The process must be in
    a mount namespace of its own. Everything but what is later mounted on `scratch` is read-only. `staging` is an empty
    folder to build on; the old root is gone afterwards.

    Raises:
        OSError: the kernel refused a mount.
    """
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    mount("root", staging, "tmpfs", _MS_NOSUID, "size=1m,nr_inodes=4096,mode=755")
    top = Path(staging)
    skeleton = {top}
    for path in (*readable, *devices):
        target = top / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        skeleton.update(parent for parent in target.parents if parent.is_relative_to(top))
        if Path(path).is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        mount(path, str(target), None, _MS_BIND | _MS_REC)
    (top / scratch.lstrip("/")).mkdir(exist_ok=True)
    roots = [f"{staging}{slot_root(slot)}" for slot in range(slots)]
    for root in roots:
        Path(root).mkdir(parents=True)
    for folder in (*skeleton, top / _SLOTS.lstrip("/")):
        folder.chmod(0o111)  # to be passed, not listed
    for root in roots:
        mount(staging, root, None, _MS_BIND | _MS_REC)
        mount("none", root, None, _MS_UNBINDABLE)  # the next copy shall not hold this one
    _make_read_only(staging)
    os.chdir(staging)
    here = ctypes.create_string_buffer(b".")
    syscalls.call(syscalls.numbers_here()["pivot_root"], ctypes.addressof(here), ctypes.addressof(here))
    unmount(".")
    os.chdir("/")


def _make_read_only(path: str) -> None:
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    name = ctypes.create_string_buffer(path.encode())
    syscalls.call(
        syscalls.numbers_here()["mount_setattr"],
        _AT_FDCWD,
        ctypes.addressof(name),
        _AT_RECURSIVE,
        ctypes.addressof(attributes),
        ctypes.sizeof(attributes),
    )
