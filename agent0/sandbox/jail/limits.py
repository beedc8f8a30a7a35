"""Resource limits, capabilities and the user id of one program."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import resource
import struct
from pathlib import Path

from . import syscalls

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_UNUSED_IDS = range(0x70000000, 0x7FFE0000)  # nobody's, by the list of user ids that systemd keeps
_IDS_OF_A_CONTAINER = range(61_000, 65_534)  # where the map of a user namespace is as short as is usual
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


def is_root() -> bool:
    """Whether the calling process is root over other users: not where root is the only one of a user namespace."""
    return os.geteuid() == 0 and sum(len(mapped) for mapped in _mapped_ids()) > 1


def user_ids(count: int) -> int:
    """The first of `count` user ids in a row that, but for chance, no other pool of this machine uses.

    The kernel counts the threads of a user id over all processes, those of other containers included.
    """
    free = _UNUSED_IDS
    if not any(_UNUSED_IDS.start in mapped and _UNUSED_IDS[-1] in mapped for mapped in _mapped_ids()):
        free = _IDS_OF_A_CONTAINER
    return free.start + int.from_bytes(os.urandom(8), "little") % (len(free) - count)


def _mapped_ids() -> list[range]:
    lines = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return [range(int(first), int(first) + int(length)) for first, _, length in lines]


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
    """Empty the calling process's permitted, effective and inheritable capabilities; the ambient ones go with them.

    Raises:
        OSError: the kernel refused.
    """
    syscalls.call(syscalls.numbers_here()["capset"], ctypes.addressof(_HEADER), ctypes.addressof(_NO_CAPABILITIES))


def drop_bounding_set() -> None:
    """Take from the calling process, and all that it will fork, every capability that an exec could bring."""
    try:
        for capability in range(64):
            syscalls.prctl(_PR_CAPBSET_READ, capability)
            syscalls.prctl(_PR_CAPBSET_DROP, capability)
    except OSError as error:
        # EINVAL: it was the kernel's last one. EPERM: a process without CAP_SETPCAP can only do without exec.
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise


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
