"""Landlock: which files the program may reach, through the kernel's own system calls.

PyPI's `landlock` covers files only; TCP and the scoping of signals and abstract sockets need the newer fields, so the
three calls are made directly. A ruleset is made per run, since each run has a scratch directory of its own.
"""

from __future__ import annotations

import ctypes
import os
import stat

from . import syscalls

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG, _MAKE_FIFO, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 10, 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
_SCRATCH = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO | _MAKE_SYM
_DEVICE = _READ_FILE | _WRITE_FILE
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_HANDLED_LATEST = (1 << 16) - 1
_TCP, _SCOPES = 0b11, 0b11
_VERSION_QUERY, _PATH_BENEATH = 1, 1


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The kernel's Landlock version, 1 or more.

    Raises:
        OSError: the kernel has no Landlock, or it is switched off at boot.
    """
    return syscalls.call(syscalls.numbers_here()["landlock_create_ruleset"], 0, 0, _VERSION_QUERY)


class Landlock:
    """Rules that are the same for every run: paths to read, devices to use; opened once by the fork server."""

    def __init__(self, readable: list[str], devices: list[str]) -> None:
        version = abi()
        self._files = _HANDLED.get(version, _HANDLED_LATEST)
        tcp = _TCP if version >= 4 else 0
        scoped = _SCOPES if version >= 6 else 0
        self._size = 8 if version < 4 else 16 if version < 6 else 24
        self._ruleset = _Ruleset(self._files, tcp, scoped)
        self._rules = [self._open(path, _READ) for path in readable] + [self._open(path, _DEVICE) for path in devices]
        numbers = syscalls.numbers_here()
        self._create = numbers["landlock_create_ruleset"]
        self._add = numbers["landlock_add_rule"]
        self._restrict = numbers["landlock_restrict_self"]

    def _open(self, path: str, rights: int) -> tuple[int, int]:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= ~_READ_DIR
        return fd, rights

    def restrict(self, scratch: str) -> None:
        """Confine the calling process for good: read the rules' paths, write `scratch`, nothing else.

        Raises:
            OSError: the kernel refused.
        """
        ruleset = syscalls.call(self._create, ctypes.addressof(self._ruleset), self._size, 0)
        scratch_fd = os.open(scratch, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        writable = (_SCRATCH | _REFER | _TRUNCATE) & self._files
        for fd, rights in (*self._rules, (scratch_fd, writable)):
            rule = _PathBeneath(rights, fd)
            syscalls.call(self._add, ruleset, _PATH_BENEATH, ctypes.addressof(rule), 0)
        syscalls.call(self._restrict, ruleset, 0)
