"""Resource limits, capabilities and the user id of one program."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import struct

from . import syscalls

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9


class Limits:
    """Resource limits, the same for every run but for CPU time; computed once, never above today's hard ones."""

    def __init__(self, memory_bytes: int, file_bytes: int, open_files: int, threads: int | None) -> None:
        wanted = {
            resource.RLIMIT_AS: memory_bytes,
            resource.RLIMIT_STACK: memory_bytes // 2,  # of the main thread: recursion through C code is deep
            resource.RLIMIT_FSIZE: file_bytes,
            resource.RLIMIT_NOFILE: open_files,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_MEMLOCK: 0,
            resource.RLIMIT_MSGQUEUE: 0,
        }
        if threads is not None:  # None: the user's other processes count too, so no number would be right
            wanted[resource.RLIMIT_NPROC] = threads
        self._values = [(limit, _at_most(limit, value)) for limit, value in wanted.items()]

    def apply(self, cpu_seconds: float) -> None:
        """Lower the limits of the calling process, soft and hard alike.

        Raises:
            OSError or ValueError: a limit could not be set.
        """
        for limit, value in self._values:
            resource.setrlimit(limit, (value, value))
        cpu = _at_most(resource.RLIMIT_CPU, math.ceil(cpu_seconds) + 1)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))


def _at_most(limit: int, value: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def become(uid: int) -> None:
    """Give up root for the unprivileged user `uid`, with no supplementary groups.

    Raises:
        OSError: the process may not change its user.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


# ctypes makes a type per buffer length, which is too slow to be done in every child.
_HEADER = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
_NO_CAPABILITIES = ctypes.create_string_buffer(24)


def drop_capabilities() -> None:
    """Empty the calling process's permitted, effective and inheritable capabilities.

    Raises:
        OSError: the kernel refused.
    """
    syscalls.call(syscalls.numbers_here()["capset"], ctypes.addressof(_HEADER), ctypes.addressof(_NO_CAPABILITIES))


def no_new_privileges() -> None:
    """Set no_new_privs, which Landlock and seccomp need."""
    syscalls.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(unreadable: bool = False) -> None:
    """Have the kernel kill the calling process when the thread that forked it ends.

    `unreadable` hides its memory and /proc entries from others of the same user. After a change of user only: that
    change clears both.
    """
    syscalls.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if unreadable:
        syscalls.prctl(_PR_SET_DUMPABLE, 0)


def become_subreaper() -> None:
    """Make the calling process, in place of the system's first one, the parent of orphans below it."""
    syscalls.prctl(_PR_SET_CHILD_SUBREAPER, 1)
