"""The system call filter: what a confined program may ask of the kernel, as a classic BPF program.

Written out by hand instead of with libseccomp, because the filter has the program's own process id in it (it may
signal itself and nobody else), which is known only after fork: the instructions are built once and a few constants
are patched per run, which costs microseconds where a library needs milliseconds. It is an allow list; a call that is
not on it fails with EPERM, one that the table does not know with ENOSYS so that the C library falls back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable

from . import syscalls

_LOAD, _JEQ, _JGE, _JSET, _JA, _RET = 0x20, 0x15, 0x35, 0x45, 0x05, 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_NUMBER, _ARCHITECTURE = 0, 4
_PID_PLACE = 0x5049445F  # 'PID_': replaced by the program's process id in every copy of the filter
_HIGHEST_KNOWN = 467  # mainline's last call when the tables were written; a higher number is answered ENOSYS

_CLONE_THREAD = 0x00010000
_THREAD_FLAGS = 0x017D0F00  # what C libraries give for a thread; others make namespaces, or share less
_PR_SET_NAME, _PR_GET_NAME = 15, 16
_IOCTLS = (
    0x5401,
    0x541B,
    0x5421,
    0x5450,
    0x5451,
    0x5413,
)  # TCGETS FIONREAD FIONBIO FIONCLEX FIOCLEX TIOCGWINSZ
_FCNTL_LOCKS = (6, 7, 37, 38)  # F_SETLK F_SETLKW F_OFD_SETLK F_OFD_SETLKW
_FCNTL_SIGNALS = (
    8,
    10,
    15,
    1024,
    1026,
)  # F_SETOWN F_SETSIG F_SETOWN_EX F_SETLEASE F_NOTIFY signal other processes
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_SET_MODE_FILTER = 1

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


def _argument(index: int, high: bool = False) -> Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index + (4 if high else 0))


def _return(action: int) -> Instruction:
    return (_RET, 0, 0, action)


_ALLOWED = [_return(_ALLOW)]
_DENIED = [_return(_ERRNO | errno.EPERM)]


def _only(index: int, values: tuple[int, ...], otherwise: int = errno.EPERM) -> list[Instruction]:
    """Allow where argument `index` (32 bits) is one of `values`."""
    tests: list[Instruction] = [(_JEQ, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_argument(index), *tests, _return(_ERRNO | otherwise), _return(_ALLOW)]


def _except(index: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow where argument `index` (32 bits) is none of `values`."""
    tests: list[Instruction] = [(_JEQ, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_argument(index), *tests, _return(_ALLOW), _return(_ERRNO | errno.EPERM)]


def _answer(values: tuple[int, ...], error: int) -> list[Instruction]:
    """Fail with `error`, or succeed without doing anything where it is 0, if what was loaded is one of `values`."""
    tests: list[Instruction] = [(_JEQ, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [*tests, (_JA, 0, 0, 1), _return(_ERRNO | error)]


def _checks() -> dict[str, list[Instruction]]:
    """What is allowed only with some arguments."""
    own = (_PID_PLACE,)
    no_attributes = [_return(_ERRNO | errno.EOPNOTSUPP)]
    return {
        # A thread of the same process, never a new process; clone3 hides its flags in memory, so it does not exist.
        "clone": [
            _argument(0),
            (_JSET, 0, 1, _CLONE_THREAD),
            (_JSET, 0, 1, ~_THREAD_FLAGS & 0xFFFFFFFF),
            *_DENIED,
            *_ALLOWED,
        ],
        "clone3": [_return(_ERRNO | errno.ENOSYS)],
        "openat2": [_return(_ERRNO | errno.ENOSYS)],  # its way of resolving paths is in memory too
        "kill": _only(0, own),
        "tgkill": _only(0, own),
        "tkill": _only(0, own),
        "prlimit64": _only(0, (0, _PID_PLACE)),
        "sched_setaffinity": _only(0, (0, _PID_PLACE)),
        "setrlimit": _ALLOWED,
        "prctl": _only(0, (_PR_SET_NAME, _PR_GET_NAME)),
        "ioctl": _only(1, _IOCTLS, errno.ENOTTY),
        # A lock is granted and not taken: others see the files that a program may only read, and its own has it alone.
        "fcntl": [_argument(1), *_answer(_FCNTL_LOCKS, 0), *_except(1, _FCNTL_SIGNALS)],
        "flock": [_return(_ERRNO)],
        # Space would be reserved faster than any look at the scratch folder; the C library writes the bytes instead.
        "fallocate": [_return(_ERRNO | errno.EOPNOTSUPP)],
        # Modes and times of paths, which Landlock does not cover, are granted and not taken, so that copies go through.
        # The time of now is refused: what wants it (`touch`) then opens the file, and so makes one that is missing.
        **{name: [_return(_ERRNO)] for name in ("chmod", "fchmod", "fchmodat", "fchmodat2")},
        "utimensat": [
            _argument(2),
            (_JEQ, 0, 3, 0),
            _argument(2, high=True),
            (_JEQ, 0, 1, 0),
            *_DENIED,
            _return(_ERRNO),
        ],
        **{f"{kind}{name}": no_attributes for kind in ("", "l", "f") for name in ("getxattr", "listxattr")},
        # asyncio wakes its loop through a connected stream pair; a datagram pair could address other sockets.
        "socketpair": [
            _argument(0),
            (_JEQ, 0, 4, _AF_UNIX),
            _argument(1),
            (0x54, 0, 0, _SOCK_TYPE),  # and
            (_JEQ, 0, 1, _SOCK_STREAM),
            *_ALLOWED,
            *_DENIED,
        ],
        "sendto": [
            _argument(4),
            (_JEQ, 0, 3, 0),
            _argument(4, high=True),
            (_JEQ, 0, 1, 0),
            *_ALLOWED,
            *_DENIED,
        ],
    }


def _tree(segments: list[tuple[int, list[Instruction]]]) -> list[Instruction]:
    """Binary search of the call number over `segments`, each (first number, code), sorted."""
    if len(segments) == 1:
        return segments[0][1]
    middle = len(segments) // 2
    left, right = _tree(segments[:middle]), _tree(segments[middle:])
    return [(_JGE, 0, 1, segments[middle][0]), (_JA, 0, 0, len(left)), *left, *right]


def build(architecture: str) -> bytes:
    """The filter for `architecture`, as an array of `sock_filter`, with places for the process id.

    Raises:
        OSError: no system call table for this architecture.
    """
    numbers = syscalls.numbers(architecture)
    code = {numbers[name]: _ALLOWED for name in syscalls.ALLOWED if name in numbers}
    code.update({numbers[name]: check for name, check in _checks().items() if name in numbers})
    segments: list[tuple[int, list[Instruction]]] = []
    for number in range(_HIGHEST_KNOWN + 1):
        wanted = code.get(number, _DENIED)
        if not segments or segments[-1][1] is not wanted:
            segments.append((number, wanted))
    segments.append((_HIGHEST_KNOWN + 1, [_return(_ERRNO | errno.ENOSYS)]))
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JEQ, 1, 0, syscalls.audit_architecture(architecture)),
        _return(_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        *_tree(segments),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def installer(template: bytes) -> Callable[[], None]:
    """A function that confines the calling process to `template` for good; it needs no_new_privs.

    The function raises OSError where the kernel refuses.
    """
    places = []
    for start in range(0, len(template), 8):
        code, _, _, constant = struct.unpack_from("<HBBI", template, start)
        if code == _JEQ and constant == _PID_PLACE:
            places.append(start + 4)
    number = syscalls.numbers_here()["seccomp"]
    pid = struct.Struct("<I")

    buffer = ctypes.create_string_buffer(template, len(template))
    program = _Program(len(template) // 8, ctypes.addressof(buffer))

    def install() -> None:
        for place in places:
            pid.pack_into(buffer, place, os.getpid())
        syscalls.call(number, _SET_MODE_FILTER, 0, ctypes.addressof(program))

    return install
