"""The one thread of a pool: starts fork servers, hands programs to them, collects output, replaces what crashed.

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
from concurrent.futures import Future
from typing import Any

from agent0.config import SandboxSettings
from agent0.sandbox.execution import Execution, Job
from agent0.sandbox.fair_queue import FairQueue
from agent0.sandbox.gauges import Gauges, Meter
from agent0.sandbox.jail import wire
from agent0.sandbox.options import PoolOptions
from agent0.sandbox.result import RunResult, SandboxError
from agent0.sandbox.server_process import ServerProcess
from agent0.sandbox.shortage import Shortage

_TICK_SECONDS = 0.5
_GRACE_SECONDS = 10.0  # past a run's limit without a word from its server: the server hangs
_STARTS_BEFORE_GIVING_UP = 3
_HEADROOM_MB = 24


class Engine(threading.Thread):
    """Runs until `stop`; `ready` is the reports of the first fork servers, or the reason why there are none."""

    def __init__(self, settings: SandboxSettings, options: PoolOptions, slots: list[int]) -> None:
        super().__init__(name="agent0-sandbox", daemon=True)
        self.ready: Future[list[dict[str, Any]]] = Future()
        self._settings = settings
        self._options = options
        self._slots = slots
        self._servers: list[ServerProcess] = []
        self._leaving: list[ServerProcess] = []
        self._queue = FairQueue()
        self._meter = Meter()
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, self._drain_inbox)
        self._number = 0
        self._layers: set[str] | None = None
        self._failed_starts = 0
        self._start_at: deque[tuple[float, int, ServerProcess | None]] = deque()
        self._shortage = Shortage()
        self._broken: SandboxError | None = None
        self._stopping = False
        self._ended = False
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """Queue a job; its future gets the result, or a SandboxError. Cancelling the future ends the run."""
        job.future.add_done_callback(lambda future: self._on_cancel(job) if future.cancelled() else None)
        self._post(lambda: self._accept(job))

    def gauges(self) -> Gauges:
        """A reading of the pool."""
        return self._meter.read(len(self._queue), sum(len(server.executions) for server in self._servers))

    @property
    def working(self) -> bool:
        """Whether it takes programs."""
        return self._broken is None

    def stop(self) -> None:
        """End all programs and fork servers and the thread; what still waits gets a SandboxError."""
        with contextlib.suppress(SandboxError):  # it has ended by itself
            self._post(self._stop)
        self.join()

    def server_pids(self) -> list[int]:
        """Process ids of the fork servers' supervisors, for those who look after leaks."""
        return [server.pid for server in self._servers]

    # Everything below runs in the thread.

    def run(self) -> None:
        """The loop. However it ends, nobody is left waiting."""
        try:
            self._loop()
        except SandboxError as error:
            self._give_up(error)
        except BaseException as error:
            self._give_up(SandboxError(f"The sandbox pool stopped because of an error in itself: {error!r}"))
            raise
        finally:
            self._end()
            for server in [*self._servers, *self._leaving]:
                server.forget()

    def _loop(self) -> None:
        for slots in self._slots:
            self._start_server(slots)
        while not self._stopping:
            for key, _ in self._selector.select(_TICK_SECONDS):
                key.data()
            self._tick()
            self._dispatch()
            if self._shortage.lasts:
                for job in self._queue.drain():
                    _fail(job, self._shortage.error)

    def _post(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._ended:
                raise self._broken or SandboxError("The sandbox pool is closed.")
            self._inbox.append(call)
            os.eventfd_write(self._wake, 1)

    def _drain_inbox(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._inbox:
            self._inbox.popleft()()

    def _accept(self, job: Job) -> None:
        if self._broken is not None:
            _fail(job, self._broken)
        else:
            self._queue.put(job)

    def _on_cancel(self, job: Job) -> None:
        with contextlib.suppress(SandboxError):  # a closed pool has ended the run already
            self._post(lambda: self._cancel(job))

    def _cancel(self, job: Job) -> None:
        for server in self._servers:
            for execution in server.executions.values():
                if execution.job is job:
                    self._kill(server, execution)

    def _start_server(self, slots: int, replaces: ServerProcess | None = None) -> None:
        try:
            server = ServerProcess(self._options.server_config(self._settings, slots), replaces)
        except OSError as error:
            self._shortage.note(error)
            if not self.ready.done():
                raise self._shortage.error from error
            self._start_at.append((time.monotonic() + _TICK_SECONDS, slots, replaces))
            return
        self._shortage.over()
        self._servers.append(server)
        self._selector.register(server.control, selectors.EVENT_READ, lambda: self._hear(server))

    def _hear(self, server: ServerProcess) -> None:
        while server in self._servers and (message := server.receive()) is not None:
            if not message:
                self._lost_server(server)
                return
            if server.report is None:
                self._server_up(server, message)
                return
            self._finish(server, wire.Result.unpack(message))

    def _server_up(self, server: ServerProcess, message: bytes) -> None:
        try:
            server.ready(message)
            self._check_memory(server.report or {})
            self._check_layers(server.report or {})
        except SandboxError as error:
            self._remove(server)
            self._start_again(server, error)
            return
        self._failed_starts = 0
        old = server.replaces
        if old in self._servers:
            old.retiring = True
            self._meter.recycled += 1
            self._retire_if_idle(old)
        server.replaces = None
        reports = [other.report for other in self._servers if other.report is not None]
        if not self.ready.done() and len(reports) == len(self._slots):
            self.ready.set_result(reports)

    def _check_memory(self, report: dict[str, Any]) -> None:
        needed = int(report["mapped_mb"]) + _HEADROOM_MB
        if self._settings.memory_mb < needed:
            preload = ", ".join(self._settings.preload) or "nothing"
            raise SandboxError(
                f"sandbox.memory_mb is {self._settings.memory_mb}, but the interpreter with {preload} preloaded needs "
                f"{needed} MiB of address space before a program does anything; set it to {needed} or more."
            )

    def _check_layers(self, report: dict[str, Any]) -> None:
        """A later fork server must be confined as the first one was, which is the one that the self test examines."""
        on = {name for name, taken, _ in report["layers"] if taken}
        if self._layers is None:
            self._layers = on
        missing = self._layers - on
        if missing:
            raise SandboxError(
                f"A new fork server came up without {', '.join(sorted(missing))}, which the first one had and the "
                "self test relied on. Run `agent0 sandbox check`, and start the pool again."
            )

    def _dispatch(self) -> None:
        while (server := max(self._servers, key=lambda one: one.free, default=None)) is not None and server.free:
            job = self._queue.take()
            if job is None:
                return
            self._number += 1
            try:
                execution = Execution(self._number, job)
            except (OSError, MemoryError) as error:
                self._queue.put(job, first=True)
                self._shortage.note(error)
                return
            try:
                server.start(execution)
            except OSError as error:
                execution.close()
                self._queue.put(job, first=True)
                if error.errno == errno.ETOOMANYREFS:  # descriptors on their way count too
                    self._shortage.note(error)
                    return
                self._lost_server(server)
                continue
            self._shortage.over()
            for stream in (execution.stdout, execution.stderr):
                self._selector.register(stream.read_fd, selectors.EVENT_READ, self._pumper(server, execution, stream))
            if server.runs == self._options.recycle_after:
                self._start_server(server.slots, replaces=server)

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
            self._lost_server(server)

    def _finish(self, server: ServerProcess, ended: wire.Result) -> None:
        execution = server.executions.pop(ended.run)
        self._settle(execution, lambda: execution.result(ended))
        self._retire_if_idle(server)

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
                self._meter.count(result, time.monotonic() - job.submitted)
                if job.future.set_running_or_notify_cancel():
                    job.future.set_result(result)

    def _unregister(self, execution: Execution) -> None:
        for stream in (execution.stdout, execution.stderr):
            if not (stream.ended or stream.over):
                self._selector.unregister(stream.read_fd)

    def _retire_if_idle(self, server: ServerProcess) -> None:
        if server.retiring and not server.executions:
            self._remove(server)

    def _remove(self, server: ServerProcess) -> None:
        self._servers.remove(server)
        self._selector.unregister(server.control)
        server.hang_up()
        self._leaving.append(server)

    def _lost_server(self, server: ServerProcess) -> None:
        """A fork server died: settle its runs, start another."""
        if server not in self._servers:
            return
        self._remove(server)
        server.terminate()
        executions, server.executions = server.executions, {}
        for execution in executions.values():
            self._settle(execution, execution.lost)
        if server.report is None:
            words = server.forget()
            self._leaving.remove(server)
            error = SandboxError(f"The sandbox's fork server died while it started: {words or 'no message'}.")
            self._start_again(server, error)
            return
        self._meter.restarts += 1
        successors = [*(other.replaces for other in self._servers), *(replaces for _, _, replaces in self._start_at)]
        if not server.retiring and server not in successors:
            self._start_at.append((time.monotonic(), server.slots, server.replaces))

    def _start_again(self, server: ServerProcess, error: SandboxError) -> None:
        """Start another server in place of one that did not come up, or give up because of `error`."""
        self._failed_starts += 1
        if not self.ready.done() or self._failed_starts >= _STARTS_BEFORE_GIVING_UP:
            self._give_up(error)
            return
        pause = 0.1 * (4**self._failed_starts - 1)
        self._start_at.append((time.monotonic() + pause, server.slots, server.replaces))

    def _give_up(self, error: SandboxError) -> None:
        """No fork server can be started: everything that waits, and all that comes, fails with `error`."""
        self._broken = error
        if not self.ready.done():
            self.ready.set_exception(error)
        for job in self._queue.drain():
            _fail(job, error)

    def _tick(self) -> None:
        now = time.monotonic()
        while self._start_at and self._start_at[0][0] <= now and self._broken is None:
            _, slots, replaces = self._start_at.popleft()
            self._start_server(slots, replaces)
        for server in list(self._servers):
            overdue = [
                one for one in server.executions.values() if now > one.started + one.job.timeout + _GRACE_SECONDS
            ]
            asleep = server.report is None and now > server.started + self._options.start_timeout_seconds
            if overdue or asleep:
                self._lost_server(server)
        for server in [one for one in self._leaving if one.gone]:
            self._leaving.remove(server)
            server.forget()

    def _stop(self) -> None:
        self._stopping = True
        self._broken = SandboxError("The sandbox pool was closed before this program had ended.")

    def _end(self) -> None:
        """Take nothing any more, hang up, and tell all who wait for a program why there is no result."""
        with self._lock:
            self._ended = True
        why = self._broken or SandboxError("The sandbox pool is closed.")
        running = [execution for server in self._servers for execution in server.executions.values()]
        for server in self._servers:
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
