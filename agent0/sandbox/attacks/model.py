"""What an attack is, and the names that its program finds."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from agent0.sandbox.result import Status

ESCAPED = "ESCAPED"

# `attempt` reports one try; the constants are filled in by the runner. `call` makes a system call by name.
PRELUDE = """
import ctypes, os, platform, socket, sys
CANARY, TCP_PORT, UDP_PORT, ABSTRACT, UNIX_PATH, OWNER, VICTIM, PROJECT, SECRET, FIRST = @WORLD@
_NUMBERS = @NUMBERS@
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

def call(name, *arguments):
    number = _NUMBERS[name][0 if platform.machine() == "x86_64" else 1]
    if number is None:
        raise OSError("no such call here")
    result = _libc.syscall(ctypes.c_long(number), *[ctypes.c_long(value) for value in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def attempt(what, action):
    try:
        value = action()
    except (OSError, MemoryError, ImportError, RuntimeError, ValueError, AttributeError) as error:
        print("contained:", what, "-", type(error).__name__)
    else:
        print("@ESCAPED@:", what, "-", repr(value)[:200])

def escaped_if(condition, what):
    print("@ESCAPED@:" if condition else "contained:", what)
"""

_FORBIDDEN = """
    acct=163,89 add_key=248,217 bpf=321,280 capset=126,91 chroot=161,51 clock_settime=227,112 clone=56,220
    clone3=435,435 execve=59,221 execveat=322,281 fallocate=285,47 fanotify_init=300,262 fork=57,- fsopen=430,430
    init_module=175,105 inotify_init1=294,26 io_setup=206,0 io_uring_setup=425,425 ioperm=173,- kcmp=312,272
    kexec_load=246,104 keyctl=250,219 landlock_create_ruleset=444,444 memfd_create=319,279 memfd_secret=447,447
    modify_ldt=154,- mount=165,40 mq_open=240,180 msgget=68,186 name_to_handle_at=303,264 open_by_handle_at=304,265
    open_tree=428,428 openat2=437,437 perf_event_open=298,241 personality=135,92 pidfd_open=434,434
    pivot_root=155,41 prctl=157,167 process_vm_readv=310,270 ptrace=101,117 quotactl=179,60 reboot=169,142
    rt_sigqueueinfo=129,138 seccomp=317,277 semget=64,190 sethostname=170,161 setns=308,268 setpriority=141,140
    settimeofday=164,170 setuid=105,146 shmget=29,194 swapon=167,224 syslog=103,116 unshare=272,97
    userfaultfd=323,282 vfork=58,- setxattr=188,5
"""

FORBIDDEN: dict[str, tuple[int | None, ...]] = {
    name: tuple(None if number == "-" else int(number) for number in numbers.split(","))
    for name, numbers in (call.split("=") for call in _FORBIDDEN.split())
}
"""Calls that must be refused, by name: their numbers on x86-64 and arm64, None where there is no such call."""


@dataclass(frozen=True)
class Attack:
    """A hostile program and what must hold after it.

    After every attack the runner also checks the outside world: the canary file unchanged and alone in its folder,
    nothing arrived at the owner's sockets, the victim process alive, the pool answering.

    Attributes:
        name: unique, in words.
        program: the text; it prints 'ESCAPED: ...' for every try that worked.
        statuses: how it may end.
        prints: what stdout must contain.
        complains: what stderr must contain.
        exit_code: where only one is right.
        silent: whether stdout must be empty.
        second: a program run after it, in the same slot, that must not find traces (`FIRST` is what the first printed);
            it prints 'ESCAPED' if it does.
        beside: whether an honest program runs at the same time, which must succeed.
        works_bare: whether a bare interpreter, without the sandbox, lets it escape: the control of the check itself;
            only for attacks that do no harm to a machine.
        timeout_seconds: its wall-clock limit.
    """

    name: str
    program: str
    statuses: tuple[Status, ...] = ("ok",)
    prints: str = ""
    complains: str = ""
    exit_code: int | None = None
    silent: bool = False
    second: str = ""
    beside: bool = False
    works_bare: bool = False
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "program", textwrap.dedent(self.program).strip() + "\n")
        object.__setattr__(self, "second", textwrap.dedent(self.second).strip())
