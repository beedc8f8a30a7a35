"""From fork to the program's first instruction: the layers, in the order in which they can still be put on.

`Confinement` is made once by the fork server. `trial` puts the layers on in a throwaway child and reports which took;
a real run then insists on every one that did, and a run whose layer fails is reported, never executed.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import landlock, limits, program, scratch, seccomp, syscalls, wire

_HIGHEST_FD = 0x7FFFFFFF
_UNREADABLE = (
    f"it could not read {os.__file__}: install Python where every user may read it, not below a home folder of mode "
    "700, or start the sandbox as the user whose home that is"
)


@dataclass(frozen=True)
class Place:
    """What differs from run to run: the scratch folder, the user id (None: unchanged), the CPU limit in seconds."""

    scratch: scratch.Folder
    uid: int | None
    cpu_seconds: float


class Begun(BaseException):
    """Takes a child out of the server's loop, so that nothing of the server is left in it."""

    def __init__(self, guard: program.Guard) -> None:
        super().__init__()
        self.guard = guard


class Confinement:
    """The layers of one fork server's runs, by name, in order."""

    def __init__(self, config: dict[str, Any], readable: list[str], devices: list[str], threads: int | None) -> None:
        self._config = config
        self._readable = readable
        self._devices = devices
        self._threads = threads
        self._proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.steps: dict[str, Callable[[Place], None]] = {}

    @property
    def proc(self) -> int:
        """A descriptor of the /proc that was mounted when the server started; it numbers processes from outside."""
        return self._proc

    def prepare(self, uid_layer: bool, without: list[str], hidden: bool) -> dict[str, str]:
        """Build the steps (`without` names those left off); returns the layers that cannot be built, and why.

        `hidden` is whether the kernel shall hide a program from others of its user: not where the server itself is one
        of them and has to see which files the program holds.
        """
        failed: dict[str, str] = {}
        makers: dict[str, Callable[[], Callable[[Place], None]]] = {
            "oom_score": lambda: self._prefer_for_oom,
            "limits": self._limits,
            **({"user_id": lambda: self._change_user} if uid_layer else {}),
            "capabilities": lambda: lambda _: limits.drop_capabilities(),
            "dies_with_server": lambda: lambda _: limits.die_with_parent(unreadable=hidden),
            "no_new_privileges": lambda: lambda _: limits.no_new_privileges(),
            "landlock": self._landlock,
            "seccomp": self._seccomp,
        }
        for name, maker in makers.items():
            if name in without:
                failed[name] = "left off by request"
                continue
            try:
                self.steps[name] = maker()
            except OSError as error:
                failed[name] = str(error)
        return failed

    def _limits(self) -> Callable[[Place], None]:
        config = self._config
        bounds = limits.Limits(config["memory_mb"] << 20, config["file_mb"] << 20, config["open_files"], self._threads)
        return lambda place: bounds.apply(place.cpu_seconds)

    def _landlock(self) -> Callable[[Place], None]:
        rules = landlock.Landlock(self._readable, self._devices)
        return lambda place: rules.restrict(place.scratch.path)

    def _seccomp(self) -> Callable[[Place], None]:
        install = seccomp.installer(seccomp.build(syscalls.machine()))
        return lambda _: install()

    def _prefer_for_oom(self, place: Place) -> None:
        fd = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=self._proc)
        os.write(fd, b"1000")
        os.close(fd)

    def _change_user(self, place: Place) -> None:
        if place.uid is None:
            raise OSError("no user id to change to")
        limits.become(place.uid)

    def confine(self, place: Place) -> None:
        """Put every layer on the calling process, for good.

        Raises:
            OSError: a layer that the trial had put on could not be put on now; the message names it.
        """
        for name, step in self.steps.items():
            try:
                step(place)
            except (OSError, ValueError) as error:
                raise OSError(f"layer {name} could not be applied: {error}") from error

    def place(self, folders: scratch.Scratch, slot: int, cpu_seconds: float) -> Place:
        """Where the next program of `slot` runs: a new scratch folder, and the user whose it is."""
        uid = self._config["uid_base"] + slot if "user_id" in self.steps else None
        return Place(folders.make(slot, os.geteuid() if uid is None else uid), uid, cpu_seconds)

    def trial(self, folders: scratch.Scratch) -> dict[str, str]:
        """Try the steps in throwaway children and keep those that work; returns the ones that do not, and why.

        Raises:
            OSError: a program could do its work with root's capabilities only, or the trial itself failed.
        """
        failed: dict[str, str] = {}
        while True:
            name, _, reason = self._first_failure(self.place(folders, 0, 1.0)).partition("\t")
            folders.remove(0)
            if not name:
                return failed
            if name == "capabilities" and reason == _UNREADABLE:
                raise OSError(f"a program must not have root's capabilities, but without them {reason}.")
            failed[name] = reason
            del self.steps[name]

    def _first_failure(self, place: Place) -> str:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            if place.scratch.root != "/":
                os.chroot(place.scratch.root)
            for name, step in self.steps.items():
                try:
                    step(place)
                    os.chdir(place.scratch.path)
                    os.close(os.open(os.__file__, os.O_RDONLY))
                except (OSError, ValueError) as error:
                    unreadable = isinstance(error, PermissionError) and error.filename == os.__file__
                    os.write(write, f"{name}\t{_UNREADABLE if unreadable else error}".encode())
                    break
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            report = pipe.read().decode()
        status = os.waitpid(pid, 0)[1]
        if status != 0 and not report:
            raise OSError(f"the trial of the layers was ended by signal {os.WTERMSIG(status)}")
        return report


def confine(
    confinement: Confinement,
    interpreter: program.Interpreter,
    place: Place,
    fds: list[int],
    parent: int,
    note: mmap.mmap,
) -> program.Guard:
    """In a freshly forked child: take over the five descriptors and confine; returns what runs the program."""
    source_fd, stdin, stdout, stderr, status = fds
    try:
        os.setsid()
        os.umask(0o077)
        for number, fd in enumerate((stdin, stdout, stderr)):
            os.dup2(fd, number)
        source = os.pread(source_fd, os.fstat(source_fd).st_size, 0)
        if place.scratch.root != "/":
            os.chroot(place.scratch.root)
        os.chdir(place.scratch.path)
        confinement.confine(place)
        confinement.steps.clear()  # they hold each other: without this they would stay in the program's memory
        if os.getppid() != parent:
            os._exit(1)  # the server died before the kernel knew that this process must die with it
        close_range = syscalls.numbers_here()["close_range"]
        if status > 3:
            syscalls.call(close_range, 3, status - 1)
        syscalls.call(close_range, status + 1, _HIGHEST_FD)
    except BaseException as error:
        os.write(status, wire.SETUP_FAILED + str(error).encode("utf-8", "replace"))
        os._exit(1)
    return program.Guard(interpreter, source, status, note)
