"""What a run of the sandbox comes to, and the error for when there was no run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from agent0.errors import Agent0Error

Status = Literal["ok", "error", "timeout", "memory", "output_limit", "killed"]


class SandboxError(Agent0Error):
    """The sandbox itself failed, so there is no result; never to be shown to a model as a program's output."""


class SandboxBusyError(SandboxError):
    """The queue is full; try again later."""


@dataclass(frozen=True)
class RunResult:
    """The outcome of one program.

    Attributes:
        status: 'ok' exit code 0; 'error' another exit code, as after an uncaught exception; 'timeout' wall-clock or
            CPU limit; 'memory' an uncaught MemoryError, or killed by the memory control group; 'output_limit' more
            output than is kept; 'killed' any other signal, too many threads, too much scratch, or a crash of the
            fork server after the program had started.
        stdout: decoded as UTF-8, undecodable bytes replaced; ends with a marker where it was cut.
        stderr: the same; a last line in square brackets says why a program was killed.
        exit_code: as the shell sees it, or minus the signal's number.
        wall_seconds: from fork to exit.
        cpu_seconds: user and system time.
        peak_memory_mb: peak resident MiB, with the interpreter and what was preloaded.
    """

    status: Status
    stdout: str
    stderr: str
    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_memory_mb: float

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with exit code 0."""
        return self.status == "ok"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the service and the command line print them."""
        return asdict(self)
