"""Looking after runs that last: threads, the out-of-memory counter, and processes that outlive their parent.

These are the soft limits, checked every `INTERVAL`; where the kernel can bound the same thing, it does too.
"""

from __future__ import annotations

import contextlib
import os
import signal

INTERVAL = 0.05


class Watch:
    """Reads /proc through `proc`, whose process numbers may differ from the server's own."""

    def __init__(self, proc: int, max_threads: int, oom_counter: int | None) -> None:
        self._proc = proc
        self._max_threads = max_threads
        self._oom_counter = oom_counter
        self._oom_kills = self._read_oom_kills()

    def too_many_threads(self, pidfd: int) -> bool:
        """Whether the process has more threads than a program may have."""
        pid = self._field(f"self/fdinfo/{pidfd}", "Pid:")
        if pid <= 0:
            return False  # it has ended, and is about to be reaped
        return self._field(f"{pid}/status", "Threads:") > self._max_threads

    def removed_bytes(self, pidfd: int, device: int, file_bytes: int) -> int:
        """Bytes of the files on `device` that have no name any more, but that the process still holds.

        Of one that it holds by a memory map alone the size is not known: it counts as `file_bytes`. 0 where the kernel
        does not let this process look.
        """
        pid = self._field(f"self/fdinfo/{pidfd}", "Pid:")
        held: dict[int, int] = {}
        try:
            folder = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._proc)
        except OSError:
            return 0
        try:
            for name in os.listdir(folder):  # noqa: PTH208  (a descriptor)
                with contextlib.suppress(OSError):
                    status = os.stat(name, dir_fd=folder)
                    if status.st_dev == device and status.st_nlink == 0:
                        held[status.st_ino] = status.st_blocks * 512
        finally:
            os.close(folder)
        for inode in self._mapped_without_name(pid, device):
            held.setdefault(inode, file_bytes)
        return sum(held.values())

    def _mapped_without_name(self, pid: int, device: int) -> set[int]:
        wanted = f"{os.major(device):02x}:{os.minor(device):02x}"
        try:
            with os.fdopen(os.open(f"{pid}/maps", os.O_RDONLY, dir_fd=self._proc)) as maps:
                lines = [line.split(maxsplit=5) for line in maps if line.endswith(" (deleted)\n")]
        except OSError:
            return set()
        return {int(fields[4]) for fields in lines if fields[3] == wanted}

    def _field(self, path: str, name: str, place: int = 1) -> int:
        try:
            fd = os.open(path, os.O_RDONLY, dir_fd=self._proc)
        except FileNotFoundError:
            return 0
        try:
            text = os.read(fd, 8192).decode()
        except ProcessLookupError:
            return 0
        finally:
            os.close(fd)
        return next((int(line.split()[place]) for line in text.splitlines() if line.startswith(name)), 0)

    def _read_oom_kills(self) -> int:
        if self._oom_counter is None:
            return 0
        text = os.pread(self._oom_counter, 4096, 0).decode()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def out_of_memory(self) -> bool:
        """Whether the memory cgroup's killer struck since the last time this was asked."""
        before, self._oom_kills = self._oom_kills, self._read_oom_kills()
        return self._oom_kills > before

    def kill_orphans(self, known: set[int]) -> None:
        """Kill the processes that the server inherited from a program that ended; only for when seccomp is off.

        The server is the parent of every orphan below it, as subreaper or as first process of its namespace.
        """
        while True:
            fd = os.open("thread-self/children", os.O_RDONLY, dir_fd=self._proc)
            outside = os.read(fd, 1 << 20).split()
            os.close(fd)
            orphans = {self._field(f"{int(pid)}/status", "NSpid:", -1) for pid in outside} - known - {0}
            if not orphans:
                return
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
