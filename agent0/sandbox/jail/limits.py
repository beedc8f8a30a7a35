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


def apply(memory_bytes: int, file_bytes: int, open_files: int, threads: int | None, cpu_seconds: float) -> None:
    """Lower the limits of the calling process, soft and hard alike; `threads` None leaves the user's limit.

    Raises:
        OSError or ValueError: a limit could not be set.
    """
    cpu = math.ceil(cpu_seconds) + 1
    wanted = [
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, open_files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]
    if threads is not None:
        wanted.append((resource.RLIMIT_NPROC, threads))
    for limit, value in wanted:
        hard = resource.getrlimit(limit)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))


def become(uid: int) -> None:
    """Give up root for the unprivileged user `uid`, with no supplementary groups.

    Raises:
        OSError: the process may not change its user.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_capabilities() -> None:
    """Empty the calling process's permitted, effective and inheritable capabilities.

    Raises:
        OSError: the kernel refused.
    """
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
    nothing = ctypes.create_string_buffer(24)
    syscalls.call(syscalls.numbers_here()["capset"], ctypes.addressof(header), ctypes.addressof(nothing))


def no_new_privileges() -> None:
    """Set no_new_privs, which Landlock and seccomp need."""
    syscalls.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Have the kernel kill the calling process when the thread that forked it ends."""
    syscalls.prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def die_with_parent_unreadable() -> None:
    """`die_with_parent`, and hide the calling process's memory and /proc entries from others of the same user.

    After a change of user only: that change clears both.
    """
    die_with_parent()
    syscalls.prctl(_PR_SET_DUMPABLE, 0)


def become_subreaper() -> None:
    """Make the calling process, in place of the system's first one, the parent of orphans below it."""
    syscalls.prctl(_PR_SET_CHILD_SUBREAPER, 1)
