"""A client of the sandbox service that runs programs like a pool does.

It goes round several endpoints, tries again with growing, jittered pauses until a deadline, and raises SandboxError
when there is no result: a sandbox that cannot be reached is never text for a model. A program touches nothing but its
own scratch, so that one whose service was lost, drained or too busy may be run again, there or elsewhere.

All requests are made by one event loop in a thread, over connections that are kept; callers may be of any thread or
loop.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

import httpx

from agent0.config import SandboxSettings
from agent0.errors import UsageError
from agent0.sandbox.bearer_token import TOKEN_VARIABLE
from agent0.sandbox.gauges import Gauges, Meter
from agent0.sandbox.result import RunResult, SandboxError
from agent0.sandbox.service_limits import ServiceLimits

T = TypeVar("T")
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_CONNECT_SECONDS = 5.0
_OVERHEAD_SECONDS = 60.0  # queueing and transfer on top of a program's own limit, for one attempt
_DEFAULT_CONCURRENCY = 16
_IN_FLIGHT_PER_WORKER = 2  # one runs, the next waits at the service, so that no worker waits for the network
OPENING_SECONDS = 30.0
"""How long `check_limits` waits for a first service to answer."""


class SandboxClient:
    """Runs programs through the service at one or more `endpoints` (base addresses).

    Args:
        endpoints: e.g. `["http://sandbox:8194"]`; used in turn, and the next one after a failure.
        token: bearer token.
        deadline_seconds: for one program, all attempts and pauses together, from when its turn has come.
        concurrency: programs at once; 0: 16, or as `check_limits` finds that the services can.
        timeout_seconds: wall-clock limit of a program where a call gives none; None leaves it to the service.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        token: str | None = None,
        *,
        deadline_seconds: float = 120.0,
        concurrency: int = 0,
        timeout_seconds: float | None = None,
    ) -> None:
        if not endpoints:
            raise UsageError("A sandbox client needs at least one endpoint, e.g. http://127.0.0.1:8194.")
        if deadline_seconds <= 0 or concurrency < 0:
            raise UsageError("deadline_seconds must be above 0 and concurrency at least 0.")
        self._endpoints = [endpoint.rstrip("/") for endpoint in endpoints]
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._deadline = deadline_seconds
        self._concurrency = concurrency
        self._timeout = timeout_seconds
        self._turn = random.randrange(len(self._endpoints))
        self._meter, self._waiting, self._running = Meter(), 0, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox-client", daemon=True)
        # No limit on connections: `_places` bounds the requests.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._http = httpx.AsyncClient(headers=self._headers, limits=limits)
        self._places = asyncio.Semaphore(concurrency or _DEFAULT_CONCURRENCY)
        self._thread.start()

    def __enter__(self) -> SandboxClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on what still runs, and close the connections."""
        if self._loop.is_closed():
            return
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def check_limits(self, settings: SandboxSettings, processes: int = 1) -> None:
        """Check before any program that a service answers, and that all that answer keep the limits of `settings`.

        Where no concurrency was given, it becomes a share of what the services that answer can do, one of `processes`.

        Raises:
            UsageError: a service has other limits.
            SandboxError: none answers, or one refuses the token.
        """
        found = self._wait(self._limits())
        for url, limits in found.items():
            limits.check(settings, url)
        if not self._concurrency:
            workers = sum(limits.workers for limits in found.values())
            self._places = asyncio.Semaphore(max(1, workers * _IN_FLIGHT_PER_WORKER // processes))

    def run(self, source: str, *, timeout_seconds: float | None = None, stdin: str = "") -> RunResult:
        """Run one program and wait for its result.

        Raises:
            UsageError: the service refuses the request.
            SandboxError: no endpoint gave a result before the deadline, or one refuses the token.
        """
        return self._wait(self._run(source, timeout_seconds, stdin))

    async def arun(self, source: str, *, timeout_seconds: float | None = None, stdin: str = "") -> RunResult:
        """`run` for asyncio; cancelling the task ends the program."""
        return await asyncio.wrap_future(self._submit(self._run(source, timeout_seconds, stdin)))

    def run_many(self, sources: Iterable[str], *, timeout_seconds: float | None = None) -> list[RunResult]:
        """Run programs, `concurrency` at once; results in the order of `sources`. Raises as `run` does."""
        futures = [self._submit(self._run(source, timeout_seconds, "")) for source in sources]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def gauges(self) -> Gauges:
        """Return what this client has run; latencies count from the call to the result."""

        async def read() -> Gauges:
            return self._meter.read(self._waiting, self._running)

        return self._wait(read())

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop.is_closed():
            work.close()
            raise SandboxError("This sandbox client is closed; open another.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._http.aclose()

    async def _run(self, source: str, timeout: float | None, stdin: str) -> RunResult:
        began, places = time.monotonic(), self._places
        self._waiting += 1
        try:
            await places.acquire()
        finally:
            self._waiting -= 1
        self._running += 1
        try:
            result = await self._ask_for_result(source, self._timeout if timeout is None else timeout, stdin)
        finally:
            self._running -= 1
            places.release()
        self._meter.count(result, time.monotonic() - began)
        return result

    async def _ask_for_result(self, source: str, limit: float | None, stdin: str) -> RunResult:
        content = {"source": source, "stdin": stdin} | ({} if limit is None else {"timeout_seconds": limit})
        body = json.dumps(content)  # ASCII: a text may hold half a surrogate pair, which the service refuses in words
        attempts = _Attempts(self._next_endpoints(), self._deadline, "gave a result")
        patience = (limit or 0.0) + _OVERHEAD_SECONDS
        headers = {"Content-Type": "application/json"}
        for url in attempts:
            answer = await attempts.ask(self._http.post, url, "/v1/run", patience, content=body, headers=headers)
            if answer is not None:
                try:
                    return RunResult(**answer.json())
                except (ValueError, TypeError) as error:
                    raise _no_sandbox(url, error) from error
            await asyncio.sleep(attempts.pause)
        raise attempts.error()

    async def _limits(self) -> dict[str, ServiceLimits]:
        """Return the limits of each service that answers now; of the first, where none does at once."""
        attempts = _Attempts(self._next_endpoints(), OPENING_SECONDS, "answers")
        found: dict[str, ServiceLimits] = {}
        for url in attempts:
            answer = await attempts.ask(self._http.get, url, "/v1/limits", _CONNECT_SECONDS)
            if answer is not None:
                try:
                    found[url] = ServiceLimits.model_validate_json(answer.content)
                except ValueError as error:
                    raise _no_sandbox(url, error) from error
            if found and attempts.asked_each:
                return found
            if not found:
                await asyncio.sleep(attempts.pause)
        if found:
            return found
        raise attempts.error()

    def _next_endpoints(self) -> list[str]:
        self._turn = (self._turn + 1) % len(self._endpoints)
        return self._endpoints[self._turn :] + self._endpoints[: self._turn]


class _Attempts:
    """The endpoints to try, round and round, until the deadline; each at least once."""

    def __init__(self, endpoints: list[str], deadline_seconds: float, wanted: str) -> None:
        self._endpoints = endpoints
        self._started = time.monotonic()
        self._ends = self._started + deadline_seconds
        self._wanted = wanted
        self._count = 0
        self._last = ""
        self._pause = 0.0

    @property
    def asked_each(self) -> bool:
        """Whether every endpoint had its turn."""
        return self._count >= len(self._endpoints)

    @property
    def pause(self) -> float:
        """How long to wait before the next attempt; never past the deadline."""
        return min(self._pause, max(0.0, self._ends - time.monotonic()))

    def __iter__(self) -> Iterator[str]:
        while self._count == 0 or time.monotonic() < self._ends:
            self._count += 1
            yield self._endpoints[(self._count - 1) % len(self._endpoints)]

    async def ask(self, method: Any, url: str, path: str, patience: float, **content: Any) -> httpx.Response | None:
        """Return the answer of an endpoint; None where another attempt may help.

        Raises:
            UsageError: the service refuses this request for good.
            SandboxError: the token is not accepted.
        """
        left = max(0.05, min(patience, self._ends - time.monotonic()))
        timeout = httpx.Timeout(left, connect=min(_CONNECT_SECONDS, left))
        try:
            answer: httpx.Response = await method(f"{url}{path}", timeout=timeout, **content)
        except (httpx.TransportError, httpx.DecodingError) as error:
            self._failed(url, f"{type(error).__name__} {error}".rstrip())
            return None
        code = answer.status_code
        if code in _TRY_AGAIN:
            wait = answer.headers.get("retry-after", "")
            self._failed(url, f"HTTP {code} {answer.text[:200]}", float(wait) if wait.isdigit() else 0.0)
            return None
        if code in (401, 403):
            raise SandboxError(
                f"The sandbox at {url} does not accept the bearer token (HTTP {code}); set {TOKEN_VARIABLE} to the "
                "token that the service was started with, on Kubernetes in the Secret of the pods' credentials."
            )
        if code in (404, 405) or code < 200 or 300 <= code < 400:
            raise _no_sandbox(url, f"HTTP {code}")
        if not answer.is_success:
            raise UsageError(f"The sandbox at {url} refuses the request (HTTP {code}): {answer.text[:500]}")
        return answer

    def _failed(self, url: str, why: str, wait: float = 0.0) -> None:
        """Note a failure and choose the pause before the next attempt: after each round longer, and jittered."""
        self._last = f"{url}: {why}"
        rounds = (self._count - 1) // len(self._endpoints)
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(rounds, 10))
        self._pause = max(wait, random.uniform(longest / 2, longest))

    def error(self) -> SandboxError:
        """What to raise when there is no time left."""
        return SandboxError(
            f"No sandbox {self._wanted} in {time.monotonic() - self._started:.1f} s and {self._count} attempts; "
            f"the last was {self._last}. Check sandbox.endpoints and that the service is ready (GET /readyz)."
        )


def _no_sandbox(url: str, why: object) -> SandboxError:
    return SandboxError(
        f"{url} does not answer as a sandbox of this version does ({' '.join(str(why).split())[:300]}); check "
        "sandbox.endpoints, and that the service runs the same version of agent0."
    )
