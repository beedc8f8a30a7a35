"""Where stages get their sandbox from: a pool of their own, or the services that the settings name.

What they get runs programs; which of the two it is, they are not told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from agent0.config import SandboxSettings
from agent0.errors import Agent0Error
from agent0.sandbox.bearer_token import read_token
from agent0.sandbox.gauges import Gauges, Meter
from agent0.sandbox.result import RunResult

PATIENCE_SECONDS = 600.0
"""How long one program may take to get its result from services that are busy, drain or restart."""


class Sandbox(Protocol):
    """A sandbox that is open; any thread and any event loop may use it."""

    async def arun(self, source: str) -> RunResult:
        """Run one program; cancelling the task ends it."""

    def gauges(self) -> Gauges:
        """Return what has been run since it was opened."""


class NoSandbox:
    """Stands where the sandbox would, where nobody has a tool and nothing is verified."""

    async def arun(self, source: str) -> RunResult:
        """Refuse.

        Raises:
            Agent0Error: always.
        """
        raise Agent0Error("No sandbox was needed here, and yet a program was to be run; report this as a fault.")

    def gauges(self) -> Gauges:
        """Return that nothing ran."""
        return Meter().read(queued=0, running=0)


@contextmanager
def open_sandbox(settings: SandboxSettings, processes: int = 1, *, needed: bool = True) -> Iterator[Sandbox]:
    """Open the sandbox that the settings ask for, and close it at the end.

    Services are asked first whether they are there, take the token of AGENT0_SANDBOX_TOKEN and keep the same limits.

    Args:
        settings: limits, and the services if there are any.
        processes: that open one each and share the machine's cores, or the services.
        needed: whether any program will run; without it nothing is opened.

    Raises:
        UsageError: a service has other limits than the settings, or the token is malformed.
        SandboxError: the pool cannot prove its isolation, no service answers, or one refuses the token.
    """
    if not needed:
        yield NoSandbox()
        return
    if settings.endpoints:
        from agent0.sandbox.client import SandboxClient

        with SandboxClient(
            settings.endpoints,
            read_token(),
            deadline_seconds=PATIENCE_SECONDS,
            concurrency=settings.workers and max(1, settings.workers // processes),
            timeout_seconds=settings.timeout_seconds,
        ) as client:
            client.check_limits(settings, processes)
            yield client
        return
    from agent0.sandbox.pool import SandboxPool

    workers = settings.workers or len(os.sched_getaffinity(0))
    with SandboxPool(settings.model_copy(update={"workers": max(1, workers // processes)})) as pool:
        yield pool
