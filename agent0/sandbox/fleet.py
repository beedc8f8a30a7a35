"""The fork servers of a pool: started, examined, replaced when they are worn out or have died.

Belongs to the thread of an `Engine`, which hands programs to them and hears of their results. Leaves out programs: what
becomes of one whose server died is the engine's to say.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from agent0.config import SandboxSettings
from agent0.sandbox.execution import Execution
from agent0.sandbox.gauges import Meter
from agent0.sandbox.jail import wire
from agent0.sandbox.pool_options import PoolOptions
from agent0.sandbox.result import SandboxError
from agent0.sandbox.server_process import ServerProcess
from agent0.sandbox.shortage import Shortage

PAUSE_SECONDS = 0.5  # between two looks at what nobody tells
_GRACE_SECONDS = 10.0  # past a run's limit without a word from its server: the server hangs
_STARTS_BEFORE_GIVING_UP = 3
_HEADROOM_MB = 24


class Fleet:
    """Servers that start, work or leave.

    Attributes:
        ready: the reports of the first servers, or the reason why there are none.
        servers: those that start or work.
        broken: why programs are taken no more, None while they are.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        options: PoolOptions,
        selector: selectors.BaseSelector,
        on_result: Callable[[ServerProcess, wire.Result], None],
        on_lost: Callable[[Execution], None],
        on_broken: Callable[[SandboxError], None],
    ) -> None:
        """`on_result` is told how a program ended, `on_lost` whose server died, `on_broken` why there is none left."""
        self.ready: Future[list[dict[str, Any]]] = Future()
        self.servers: list[ServerProcess] = []
        self.broken: SandboxError | None = None
        self.meter = Meter()
        self.shortage = Shortage()
        self._settings = settings
        self._options = options
        self._selector = selector
        self._on_result = on_result
        self._on_lost = on_lost
        self._on_broken = on_broken
        self._wanted = 0
        self._leaving: list[ServerProcess] = []
        self._layers: set[str] | None = None
        self._failed_starts = 0
        self._start_at: deque[tuple[float, int, ServerProcess | None]] = deque()

    def begin(self, slots: list[int]) -> None:
        """Start the first servers, of so many slots each.

        Raises:
            SandboxError: the owner lacks what a process takes.
        """
        self._wanted = len(slots)
        for each in slots:
            self.start(each)

    @property
    def freest(self) -> ServerProcess | None:
        """The server that could take most programs now; None where none could take one."""
        server = max(self.servers, key=lambda one: one.free, default=None)
        return server if server is not None and server.free else None

    def start(self, slots: int, replaces: ServerProcess | None = None) -> None:
        """Start a server, in place of the one that it `replaces`, or set a time for that where the owner is short."""
        try:
            server = ServerProcess(self._options.server_config(self._settings, slots), replaces)
        except OSError as error:
            self.shortage.note(error)
            if not self.ready.done():
                raise self.shortage.error from error
            self._start_at.append((time.monotonic() + PAUSE_SECONDS, slots, replaces))
            return
        self.shortage.over()
        self.servers.append(server)
        self._selector.register(server.control, selectors.EVENT_READ, lambda: self._hear(server))

    def _hear(self, server: ServerProcess) -> None:
        while server in self.servers and (message := server.receive()) is not None:
            if not message:
                self.lost(server)
                return
            if server.report is None:
                self._server_up(server, message)
                return
            self._on_result(server, wire.Result.unpack(message))

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
        if old in self.servers:
            old.retiring = True
            self.meter.recycled += 1
            self.retire_if_idle(old)
        server.replaces = None
        reports = [other.report for other in self.servers if other.report is not None]
        if not self.ready.done() and len(reports) == self._wanted:
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

    def retire_if_idle(self, server: ServerProcess) -> None:
        """Let a server go that has been replaced and runs nothing any more."""
        if server.retiring and not server.executions:
            self._remove(server)

    def _remove(self, server: ServerProcess) -> None:
        self.servers.remove(server)
        self._selector.unregister(server.control)
        server.hang_up()
        self._leaving.append(server)

    def lost(self, server: ServerProcess) -> None:
        """A fork server died: settle its runs, start another."""
        if server not in self.servers:
            return
        self._remove(server)
        server.terminate()
        executions, server.executions = server.executions, {}
        for execution in executions.values():
            self._on_lost(execution)
        if server.report is None:
            words = server.forget()
            self._leaving.remove(server)
            error = SandboxError(f"The sandbox's fork server died while it started: {words or 'no message'}.")
            self._start_again(server, error)
            return
        self.meter.restarts += 1
        successors = [*(other.replaces for other in self.servers), *(replaces for _, _, replaces in self._start_at)]
        if not server.retiring and server not in successors:
            self._start_at.append((time.monotonic(), server.slots, server.replaces))

    def _start_again(self, server: ServerProcess, error: SandboxError) -> None:
        """Start another server in place of one that did not come up, or give up because of `error`."""
        self._failed_starts += 1
        if not self.ready.done() or self._failed_starts >= _STARTS_BEFORE_GIVING_UP:
            self.give_up(error)
            return
        pause = 0.1 * (4**self._failed_starts - 1)
        self._start_at.append((time.monotonic() + pause, server.slots, server.replaces))

    def give_up(self, error: SandboxError) -> None:
        """Say that no program is taken any more, because of `error`."""
        self.broken = error
        if not self.ready.done():
            self.ready.set_exception(error)
        self._on_broken(error)

    def look(self) -> None:
        """Start what is due, and see to servers that hang or have gone."""
        now = time.monotonic()
        while self._start_at and self._start_at[0][0] <= now and self.broken is None:
            _, slots, replaces = self._start_at.popleft()
            self.start(slots, replaces)
        for server in list(self.servers):
            overdue = [
                one for one in server.executions.values() if now > one.started + one.job.timeout + _GRACE_SECONDS
            ]
            asleep = server.report is None and now > server.started + self._options.start_timeout_seconds
            if overdue or asleep:
                self.lost(server)
        for server in [one for one in self._leaving if one.gone]:
            self._leaving.remove(server)
            server.forget()

    def forget(self) -> None:
        """Wait for the end of all servers, which were told to hang up."""
        for server in [*self.servers, *self._leaving]:
            server.forget()
