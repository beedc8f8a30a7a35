"""The sandbox as the rest of the house uses it: programs in, results out, blocking or with asyncio.

A pool that has started has passed its self test under the policy of its settings. Leaves out HTTP (`service.py`,
`client.py`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import os
import sys
from collections.abc import Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from agent0.config import SandboxSettings
from agent0.errors import UsageError
from agent0.sandbox import selftest
from agent0.sandbox.execution import Job
from agent0.sandbox.fair_queue import Admission
from agent0.sandbox.gauges import Gauges
from agent0.sandbox.pool_options import PoolOptions
from agent0.sandbox.pool_thread import Engine
from agent0.sandbox.result import RunResult, SandboxBusyError, SandboxError

_PROBE_SECONDS = 10.0
_PROBE_BYTES = 65_536
_DAY_SECONDS = 86_400.0


class SandboxPool:
    """Runs untrusted Python programs, `settings.workers` at once, each confined to a process of its own.

    Use it as a context manager, or call `start` and `close`. All methods may be called from any thread. Keywords other
    than `settings` are those of `PoolOptions`.
    """

    def __init__(self, settings: SandboxSettings | None = None, **options: Any) -> None:
        self.settings = settings or SandboxSettings()
        self.options = PoolOptions(**options)
        self.workers = self.settings.workers or len(os.sched_getaffinity(0))
        self.report: selftest.Report | None = None
        self._admission = Admission(self.options.queue_limit + self.workers)
        self._engine: Engine | None = None
        self._owner = 0
        self._batches = itertools.count()

    def start(self) -> SandboxPool:
        """Start the fork servers and the self test.

        Raises:
            SandboxError: a server cannot start, a module cannot be preloaded, the memory limit is below what the
                interpreter needs, or the policy is not met.
        """
        if sys.platform != "linux":
            raise SandboxError(
                "The sandbox needs Linux; run it in a container or a virtual machine, or use its service."
            )
        per_server = self.options.workers_per_server
        servers = math.ceil(self.workers / per_server)
        slots = [self.workers // servers + (place < self.workers % servers) for place in range(servers)]
        self._owner = os.getpid()
        self._engine = Engine(self.settings, self.options, slots)
        self._engine.start()
        try:
            reports = self._engine.ready.result()
            self.report = selftest.examine(reports[0], self._probe, self.settings.memory_mb, self.options)
            self.report.enforce(self.settings.policy)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End every program and fork server; runs still in progress raise SandboxError in their callers."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()

    def __enter__(self) -> SandboxPool:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self,
        source: str | bytes,
        *,
        timeout_seconds: float | None = None,
        stdin: str | bytes = b"",
        client: str = "",
    ) -> RunResult:
        """Run one program and wait for its result.

        Args:
            source: the program's text; bytes may have a coding line.
            timeout_seconds: wall-clock limit; the settings' where None.
            stdin: what the program can read from standard input.
            client: whom the queue is fair to; the same name shares one turn.

        Raises:
            UsageError: the source is too long, or the limit is not a positive number.
            SandboxError: the sandbox failed, so there is no result.
        """
        job = self._job(source, stdin, timeout_seconds, client)
        self._started()
        self._admission.wait()
        return _wait(self._submit(job))

    def run_many(self, sources: Iterable[str | bytes], *, timeout_seconds: float | None = None) -> list[RunResult]:
        """Run programs, `workers` at once, and return their results in the order of `sources`.

        The batch is one client of the queue: single runs of others go between. Raises as `run` does.
        """
        client = f"batch-{next(self._batches)}"
        futures: list[Future[RunResult]] = []
        try:
            for source in sources:
                job = self._job(source, b"", timeout_seconds, client)
                self._admission.wait()
                futures.append(self._submit(job))
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    async def arun(
        self,
        source: str | bytes,
        *,
        timeout_seconds: float | None = None,
        stdin: str | bytes = b"",
        client: str = "",
    ) -> RunResult:
        """`run` for asyncio; cancelling the task ends the program."""
        job = self._job(source, stdin, timeout_seconds, client)
        await self._admission.wait_async()
        return await asyncio.wrap_future(self._submit(job))

    def submit(
        self,
        source: str | bytes,
        *,
        timeout_seconds: float | None = None,
        stdin: str | bytes = b"",
        client: str = "",
    ) -> Future[RunResult]:
        """Queue one program without waiting; cancel the future to end it.

        Raises:
            SandboxBusyError: the queue is full.
        """
        job = self._job(source, stdin, timeout_seconds, client)
        place = self._admission.ask()
        if not place.done() and place.cancel():
            raise SandboxBusyError(
                f"The sandbox has {self.options.queue_limit} programs waiting, its queue_limit; try again later."
            )
        return self._submit(job)

    @property
    def running(self) -> bool:
        """Whether the pool is started, not closed and not broken."""
        return self._engine is not None and self._engine.working

    def gauges(self) -> Gauges:
        """A reading of queue, running programs, latencies, restarts and kills."""
        return self._started().gauges()

    def server_pids(self) -> list[int]:
        """Process ids of the fork servers' supervisors."""
        return self._started().server_pids()

    def _probe(self, source: str) -> RunResult:
        job = dataclasses.replace(self._job(source, b"", _PROBE_SECONDS, "self test"), max_output_bytes=_PROBE_BYTES)
        self._admission.wait()
        return self._submit(job).result()

    def _started(self) -> Engine:
        if self._engine is None:
            raise SandboxError("The sandbox pool is not running; use it in a `with` block, or call start() first.")
        if os.getpid() != self._owner:
            raise SandboxError(
                "This sandbox pool belongs to the process that this one was forked from; start a pool of its own here."
            )
        return self._engine

    def _job(self, source: str | bytes, stdin: str | bytes, timeout: float | None, client: str) -> Job:
        text = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
        given = stdin.encode("utf-8", "surrogatepass") if isinstance(stdin, str) else stdin
        limit = self.settings.timeout_seconds if timeout is None else timeout
        if not 0 < limit <= _DAY_SECONDS:
            raise UsageError(f"timeout_seconds is {limit}; a program needs a limit above 0 and of a day at most.")
        for name, data in (("program", text), ("standard input", given)):
            if len(data) > self.options.max_source_bytes:
                most = self.options.max_source_bytes
                raise UsageError(f"The {name} has {len(data)} bytes; the sandbox takes max_source_bytes={most}.")
        return Job(text, given, limit, client, self.settings.max_output_bytes)

    def _submit(self, job: Job) -> Future[RunResult]:
        job.future.add_done_callback(lambda _: self._admission.give_back())
        try:
            self._started().submit(job)
        except SandboxError:
            job.future.cancel()  # which gives its place to the next
            raise
        return job.future


def _wait(future: Future[RunResult]) -> RunResult:
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
