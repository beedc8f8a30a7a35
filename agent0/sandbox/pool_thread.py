"""The one thread of a pool: hands programs to its fork servers and collects their output and results.

All state is this thread's own; other threads reach it through `submit`, which puts on a list and wakes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from agent0.config import SandboxSettings
from agent0.sandbox.execution import Execution, Job
from agent0.sandbox.fair_queue import FairQueue
from agent0.sandbox.fleet import PAUSE_SECONDS, Fleet
from agent0.sandbox.gauges import Gauges
from agent0.sandbox.jail import wire
from agent0.sandbox.pool_options import PoolOptions
from agent0.sandbox.result import RunResult, SandboxError
from agent0.sandbox.server_process import ServerProcess


class Engine(threading.Thread):
    """Runs until `stop`; `ready` is the reports of the first fork servers, or the reason why there are none."""

    def __init__(self, settings: SandboxSettings, options: PoolOptions, slots: list[int]) -> None:
        super().__init__(name="agent0-sandbox", daemon=True)
        self._slots = slots
        self._recycle_after = options.recycle_after
        self._queue = FairQueue()
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, self._drain_inbox)
        self._fleet = Fleet(
            settings,
            options,
            self._selector,
            on_result=self._finish,
            on_lost=lambda execution: self._settle(execution, execution.lost),
            on_broken=self._refuse,
        )
        self.ready = self._fleet.ready
        self._number = 0
        self._stopping = False
        self._ended = False
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """Queue a job; its future gets the result, or a SandboxError. Cancelling the future ends the run."""
        job.future.add_done_callback(lambda future: self._on_cancel(job) if future.cancelled() else None)
        self._post(lambda: self._accept(job))

    def gauges(self) -> Gauges:
        """A reading of the pool."""
        return self._fleet.meter.read(len(self._queue), sum(len(server.executions) for server in self._fleet.servers))

    @property
    def working(self) -> bool:
        """Whether it takes programs."""
        return self._fleet.broken is None

    def stop(self) -> None:
        """End all programs and fork servers and the thread; what still waits gets a SandboxError."""
        with contextlib.suppress(SandboxError):  # it has ended by itself
            self._post(self._stop)
        self.join()

    def server_pids(self) -> list[int]:
        """Process ids of the fork servers' supervisors, for those who look after leaks."""
        return [server.pid for server in self._fleet.servers]

    # Everything below runs in the thread.

    def run(self) -> None:
        """The loop. However it ends, nobody is left waiting."""
        try:
            self._loop()
        except SandboxError as error:
            self._fleet.give_up(error)
        except BaseException as error:
            self._fleet.give_up(SandboxError(f"The sandbox pool stopped because of an error in itself: {error!r}"))
            raise
        finally:
            self._end()
            self._fleet.forget()

    def _loop(self) -> None:
        self._fleet.begin(self._slots)
        while not self._stopping:
            for key, _ in self._selector.select(PAUSE_SECONDS):
                key.data()
            self._fleet.look()
            self._dispatch()
            if self._fleet.shortage.lasts:
                self._refuse(self._fleet.shortage.error)

    def _post(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._ended:
                raise self._fleet.broken or SandboxError("The sandbox pool is closed.")
            self._inbox.append(call)
            os.eventfd_write(self._wake, 1)

    def _drain_inbox(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._inbox:
            self._inbox.popleft()()

    def _accept(self, job: Job) -> None:
        if self._fleet.broken is not None:
            _fail(job, self._fleet.broken)
        else:
            self._queue.put(job)

    def _on_cancel(self, job: Job) -> None:
        with contextlib.suppress(SandboxError):  # a closed pool has ended the run already
            self._post(lambda: self._cancel(job))

    def _cancel(self, job: Job) -> None:
        for server in self._fleet.servers:
            for execution in server.executions.values():
                if execution.job is job:
                    self._kill(server, execution)

    def _dispatch(self) -> None:
        while (server := self._fleet.freest) is not None:
            job = self._queue.take()
            if job is None:
                return
            self._number += 1
            try:
                execution = Execution(self._number, job)
            except (OSError, MemoryError) as error:
                self._queue.put(job, first=True)
                self._fleet.shortage.note(error)
                return
            try:
                server.start(execution)
            except OSError as error:
                execution.close()
                self._queue.put(job, first=True)
                if error.errno == errno.ETOOMANYREFS:  # descriptors on their way count too
                    self._fleet.shortage.note(error)
                    return
                self._fleet.lost(server)
                continue
            self._fleet.shortage.over()
            for stream in (execution.stdout, execution.stderr):
                self._selector.register(stream.read_fd, selectors.EVENT_READ, self._pumper(server, execution, stream))
            if server.runs == self._recycle_after:
                self._fleet.start(server.slots, replaces=server)

    def _pumper(self, server: ServerProcess, execution: Execution, stream: Any) -> Callable[[], None]:
        def pump() -> None:
            if execution.number not in server.executions:
                return  # it ended in this very round, after the event was seen
            stream.pump()
            if stream.ended or stream.over:
                self._selector.unregister(stream.read_fd)
            if execution.over_output:
                self._kill(server, execution)

        return pump

    def _kill(self, server: ServerProcess, execution: Execution) -> None:
        try:
            server.kill(execution)
        except OSError:
            self._fleet.lost(server)

    def _finish(self, server: ServerProcess, ended: wire.Result) -> None:
        execution = server.executions.pop(ended.run)
        self._settle(execution, lambda: execution.result(ended))
        self._fleet.retire_if_idle(server)

    def _settle(self, execution: Execution, outcome: Callable[[], RunResult | None]) -> None:
        """Give a run's outcome to its caller; None: it never started, and is tried again once.

        Whatever goes wrong here befell this one program: its caller is told, and the others go on.
        """
        job = execution.job
        try:
            self._unregister(execution)
            result = outcome()
        except SandboxError as error:
            _fail(job, error)
        except Exception as error:
            _fail(job, SandboxError(f"The sandbox could not make out how a program ended: {error!r}."))
        else:
            if result is None and job.attempts == 0:
                job.attempts = 1
                self._queue.put(job, first=True)
            elif result is None:
                _fail(job, SandboxError("Two fork servers died before they could start this program."))
            else:
                self._fleet.meter.count(result, time.monotonic() - job.submitted)
                if job.future.set_running_or_notify_cancel():
                    job.future.set_result(result)

    def _unregister(self, execution: Execution) -> None:
        for stream in (execution.stdout, execution.stderr):
            if not (stream.ended or stream.over):
                self._selector.unregister(stream.read_fd)

    def _refuse(self, error: SandboxError) -> None:
        """Everything that waits fails with `error`."""
        for job in self._queue.drain():
            _fail(job, error)

    def _stop(self) -> None:
        self._stopping = True
        self._fleet.broken = SandboxError("The sandbox pool was closed before this program had ended.")

    def _end(self) -> None:
        """Take nothing any more, hang up, and tell all who wait for a program why there is no result."""
        with self._lock:
            self._ended = True
        why = self._fleet.broken or SandboxError("The sandbox pool is closed.")
        running = [execution for server in self._fleet.servers for execution in server.executions.values()]
        for server in self._fleet.servers:
            server.executions = {}
            server.hang_up()
        for job in [*(execution.job for execution in running), *self._queue.drain()]:
            _fail(job, why)
        self._drain_inbox()
        for execution in running:
            execution.close()
        self._selector.close()
        os.close(self._wake)


def _fail(job: Job, error: SandboxError) -> None:
    if job.future.set_running_or_notify_cancel():
        job.future.set_exception(error)
