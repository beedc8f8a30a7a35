"""One run as the owner sees it: its request, its pipes, and the result made of both."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from agent0.sandbox.jail import wire
from agent0.sandbox.result import RunResult, SandboxError, Status

_CHUNK = 65_536
_SECONDS_FOR_CHILDREN = 2
_REASONS = {
    wire.THREADS: "killed: more threads than a program may have",
    wire.SCRATCH: "killed: more files or bytes in the scratch folder than a program may have",
    wire.REQUESTED: "killed: the run was cancelled",
}
_TOO_MUCH = (wire.THREADS, wire.SCRATCH)  # of which a flood of messages may be the consequence


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
    """The kept part of one output pipe, of which this is the end to read."""

    def __init__(self, read_fd: int, limit: int) -> None:
        os.set_blocking(read_fd, False)
        self.read_fd = read_fd
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


class _Descriptors:
    """Descriptors that are made together or not at all."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def pipe(self) -> tuple[int, int]:
        """The two ends of a new pipe."""
        ends = os.pipe()
        self._open += ends
        return ends

    def sealed(self, name: str, data: bytes) -> int:
        """A descriptor to read `data` from; nobody can change it."""
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._open.append(fd)
        _fill(fd, data)
        return fd

    def close(self) -> None:
        """Close them all."""
        for fd in self._open:
            os.close(fd)


def _fill(fd: int, data: bytes) -> None:
    view = memoryview(data)
    offset = 0
    while offset < len(data):
        offset += os.pwrite(fd, view[offset:], offset)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)


class Execution:
    """A run in progress in a fork server.

    Attributes:
        descriptors: the five that go to the fork server, in the order of `wire.RUN_FDS`; to be closed after sending.

    Raises:
        OSError: a descriptor could not be made; none is left open.
    """

    def __init__(self, number: int, job: Job) -> None:
        self.number = number
        self.job = job
        self.started = time.monotonic()
        made = _Descriptors()
        try:
            stdout, stdout_write = made.pipe()
            stderr, stderr_write = made.pipe()
            self._status_fd, status_write = made.pipe()
            source, stdin = made.sealed("program", job.source), made.sealed("stdin", job.stdin)
        except BaseException:
            made.close()
            raise
        self.stdout = _Stream(stdout, job.max_output_bytes)
        self.stderr = _Stream(stderr, job.max_output_bytes)
        os.set_blocking(self._status_fd, False)
        self.descriptors = [source, stdin, stdout_write, stderr_write, status_write]

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
        if status == "killed" and ended.reason in _REASONS:
            notes = [_REASONS[ended.reason]]
        elif status == "killed":
            notes = [f"killed by signal {-code} ({_signal_name(-code)})"]
            if code == -signal.SIGSEGV:
                notes.append("recursion too deep for the stack is the usual reason: use a loop")
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
        if self.over_output and ended.reason not in _TOO_MUCH:
            return "output_limit"
        if ended.reason == wire.TIMEOUT:
            return "timeout"
        if ended.reason == wire.OUT_OF_MEMORY:
            return "memory"
        if code < 0:
            return "killed"
        return "ok" if code == 0 else "error"


def _signal_name(number: int) -> str:
    """A signal's name; real-time signals, and those that the C library keeps to itself, have none of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"
