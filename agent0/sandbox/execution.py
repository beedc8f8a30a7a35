"""One run as the owner sees it: its request, its pipes, and the result made of both."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from agent0.sandbox.jail import wire
from agent0.sandbox.result import RunResult, SandboxError, Status

_CHUNK = 65_536
_SECONDS_FOR_CHILDREN = 2
_MEMORY_ERROR = re.compile(r"^[\w.]*MemoryError\b.*\s*\Z", re.MULTILINE)  # the last line of an uncaught one's report
_REASONS = {
    wire.THREADS: "killed: more threads than a program may have",
    wire.SCRATCH: "killed: more files or bytes in the scratch folder than a program may have",
    wire.REQUESTED: "killed: the run was cancelled",
}


@dataclass
class Job:
    """A request for one run; `client` is whom the queue is fair to."""

    source: bytes
    stdin: bytes
    timeout: float
    client: str
    max_output_bytes: int
    future: Future[RunResult] = field(default_factory=Future)
    attempts: int = 0
    submitted: float = field(default_factory=time.monotonic)


class _Stream:
    """The kept part of one output pipe."""

    def __init__(self, limit: int) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self._limit = limit
        self._kept = bytearray()
        self.over = False
        self.ended = False

    def pump(self) -> None:
        """Take what there is; past the limit the rest is dropped and `over` is set."""
        while not self.ended and not self.over:
            try:
                data = os.read(self.read_fd, _CHUNK)
            except BlockingIOError:
                return
            self.ended = not data
            self._kept += data[: self._limit - len(self._kept) + 1]
            self.over = len(self._kept) > self._limit

    def text(self) -> str:
        """What was kept, decoded."""
        text = bytes(self._kept[: self._limit]).decode("utf-8", "replace")
        return f"{text}\n[output cut at {self._limit} bytes]" if self.over else text

    def close(self) -> None:
        os.close(self.read_fd)


def _sealed(name: str, data: bytes) -> int:
    """A descriptor to read `data` from; nobody can change it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    offset = 0
    while offset < len(data):
        offset += os.pwrite(fd, view[offset:], offset)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return fd


class Execution:
    """A run in progress in a fork server."""

    def __init__(self, number: int, job: Job) -> None:
        self.number = number
        self.job = job
        self.started = time.monotonic()
        self.cancelled = False
        self.stdout = _Stream(job.max_output_bytes)
        self.stderr = _Stream(job.max_output_bytes)
        self._status_fd, self._status_write = os.pipe()
        os.set_blocking(self._status_fd, False)

    def descriptors(self) -> list[int]:
        """The five descriptors that go to the fork server, in the order of `wire.RUN_FDS`; close them after sending."""
        return [
            _sealed("program", self.job.source),
            _sealed("stdin", self.job.stdin),
            self.stdout.write_fd,
            self.stderr.write_fd,
            self._status_write,
        ]

    @property
    def over_output(self) -> bool:
        """Whether the program wrote more than is kept."""
        return self.stdout.over or self.stderr.over

    def close(self) -> bytes:
        """Drain and close the pipes; returns what the child wrote to its status pipe."""
        for stream in (self.stdout, self.stderr):
            stream.pump()
            stream.close()
        try:
            outcome = os.read(self._status_fd, 4096)
        except BlockingIOError:
            outcome = b""
        os.close(self._status_fd)
        return outcome

    def result(self, ended: wire.Result) -> RunResult:
        """The result of a run that the fork server saw end; closes the pipes.

        Raises:
            SandboxError: the program never ran, because a layer could not be applied.
        """
        outcome = self.close()
        if not outcome.startswith(wire.STARTED):
            reason = outcome.removeprefix(wire.SETUP_FAILED).decode("utf-8", "replace")
            code = os.waitstatus_to_exitcode(ended.wait_status)
            raise SandboxError(
                "The sandbox could not confine a program and did not run it: "
                f"{reason or f'its process ended with {code}'}. "
                "Run `agent0 sandbox check`; raise sandbox.memory_mb if the layer is named 'limits'."
            )
        code = os.waitstatus_to_exitcode(ended.wait_status)
        status = self._status(ended, code)
        notes = []
        if ended.reason in _REASONS:
            notes = [_REASONS[ended.reason]]
        elif status == "killed":
            notes = [f"killed by signal {-code} ({signal.Signals(-code).name})"]
        return RunResult(
            status=status,
            stdout=self.stdout.text(),
            stderr=self.stderr.text() + "".join(f"[{note}]\n" for note in notes),
            exit_code=code,
            wall_seconds=ended.wall,
            cpu_seconds=ended.cpu,
            peak_memory_mb=ended.peak_kib / 1024,
        )

    def lost(self) -> RunResult | None:
        """The result of a run whose fork server died, or None where the program had not started; closes the pipes.

        The kernel ends the children after the server; until they are gone a program could still start.
        """
        poll = select.poll()
        poll.register(self._status_fd, 0)
        poll.poll(_SECONDS_FOR_CHILDREN * 1000)
        if not self.close().startswith(wire.STARTED):
            return None
        return RunResult(
            status="killed",
            stdout=self.stdout.text(),
            stderr=self.stderr.text() + "[killed: the sandbox's fork server died]\n",
            exit_code=-signal.SIGKILL,
            wall_seconds=time.monotonic() - self.started,
            cpu_seconds=0.0,
            peak_memory_mb=0.0,
        )

    def _status(self, ended: wire.Result, code: int) -> Status:
        if self.over_output:
            return "output_limit"
        if ended.reason == wire.TIMEOUT or code == -signal.SIGXCPU:
            return "timeout"
        if ended.reason == wire.OUT_OF_MEMORY or (code > 0 and _MEMORY_ERROR.search(self.stderr.text())):
            return "memory"
        if code < 0:
            return "killed"
        return "ok" if code == 0 else "error"
