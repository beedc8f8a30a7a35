"""A client of the sandbox service that runs programs like a pool does.

It goes round several endpoints, tries again with growing, jittered pauses until a deadline, and raises SandboxError
when there is no result: a sandbox that cannot be reached is never text for a model.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import httpx

from agent0.errors import UsageError
from agent0.sandbox.result import RunResult, SandboxError

_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_CONNECT_SECONDS = 5.0
_OVERHEAD_SECONDS = 30.0  # queueing and transfer on top of a program's own limit, for one attempt


class SandboxClient:
    """Runs programs through the service at one or more `endpoints` (base addresses).

    Args:
        endpoints: e.g. `["http://sandbox:8194"]`; used in turn, and the next one after a failure.
        token: bearer token.
        deadline_seconds: for one program, all attempts and pauses together.
        concurrency: programs at once in `run_many`.
        timeout_seconds: wall-clock limit of a program where a call gives none; None leaves it to the service.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        token: str | None = None,
        *,
        deadline_seconds: float = 120.0,
        concurrency: int = 16,
        timeout_seconds: float | None = None,
    ) -> None:
        if not endpoints:
            raise UsageError("A sandbox client needs at least one endpoint, e.g. http://127.0.0.1:8194.")
        if deadline_seconds <= 0 or concurrency < 1:
            raise UsageError("deadline_seconds must be above 0 and concurrency at least 1.")
        self._endpoints = [endpoint.rstrip("/") for endpoint in endpoints]
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._deadline = deadline_seconds
        self._concurrency = concurrency
        self._timeout = timeout_seconds
        self._turn = random.randrange(len(self._endpoints))
        self._http = httpx.Client(headers=self._headers)

    def __enter__(self) -> SandboxClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(self, source: str, *, timeout_seconds: float | None = None, stdin: str = "") -> RunResult:
        """Run one program and wait for its result.

        Raises:
            UsageError: the service refuses the request.
            SandboxError: no endpoint gave a result before the deadline.
        """
        body, patience = self._body(source, timeout_seconds, stdin)
        attempts = _Attempts(self._next_endpoints(), self._deadline)
        for url in attempts:
            try:
                answer = self._http.post(f"{url}/v1/run", json=body, timeout=attempts.limit(patience))
            except httpx.TransportError as error:
                attempts.failed(url, f"{type(error).__name__}: {error}")
            else:
                result = _result(url, answer, attempts)
                if result is not None:
                    return result
            time.sleep(attempts.pause)
        raise attempts.error()

    async def arun(self, source: str, *, timeout_seconds: float | None = None, stdin: str = "") -> RunResult:
        """`run` for asyncio."""
        body, patience = self._body(source, timeout_seconds, stdin)
        attempts = _Attempts(self._next_endpoints(), self._deadline)
        async with httpx.AsyncClient(headers=self._headers) as http:
            for url in attempts:
                try:
                    answer = await http.post(f"{url}/v1/run", json=body, timeout=attempts.limit(patience))
                except httpx.TransportError as error:
                    attempts.failed(url, f"{type(error).__name__}: {error}")
                else:
                    result = _result(url, answer, attempts)
                    if result is not None:
                        return result
                await asyncio.sleep(attempts.pause)
        raise attempts.error()

    def run_many(self, sources: Iterable[str], *, timeout_seconds: float | None = None) -> list[RunResult]:
        """Run programs, `concurrency` at once; results in the order of `sources`. Raises as `run` does."""
        with ThreadPoolExecutor(self._concurrency) as threads:
            return list(threads.map(lambda source: self.run(source, timeout_seconds=timeout_seconds), sources))

    def _body(self, source: str, timeout: float | None, stdin: str) -> tuple[dict[str, object], float]:
        limit = self._timeout if timeout is None else timeout
        body: dict[str, object] = {"source": source, "stdin": stdin}
        if limit is not None:
            body["timeout_seconds"] = limit
        return body, (limit or 0.0) + _OVERHEAD_SECONDS

    def _next_endpoints(self) -> list[str]:
        self._turn = (self._turn + 1) % len(self._endpoints)
        return self._endpoints[self._turn :] + self._endpoints[: self._turn]


class _Attempts:
    """The endpoints to try, round and round, until the deadline."""

    def __init__(self, endpoints: list[str], deadline_seconds: float) -> None:
        self._endpoints = endpoints
        self._started = time.monotonic()
        self._ends = self._started + deadline_seconds
        self._count = 0
        self._last = ""
        self._pause = 0.0

    @property
    def pause(self) -> float:
        """How long to wait before the next attempt; never past the deadline."""
        return min(self._pause, max(0.0, self._ends - time.monotonic()))

    def __iter__(self) -> Iterator[str]:
        while self._count == 0 or time.monotonic() < self._ends:
            self._count += 1
            yield self._endpoints[(self._count - 1) % len(self._endpoints)]

    def limit(self, patience: float) -> httpx.Timeout:
        """How long this attempt may take: never past the deadline."""
        left = max(0.05, min(patience, self._ends - time.monotonic()))
        return httpx.Timeout(left, connect=min(_CONNECT_SECONDS, left))

    def failed(self, url: str, why: str, wait: float = 0.0) -> None:
        """Note a failure and choose the pause before the next attempt: after each round longer, and jittered."""
        self._last = f"{url}: {why}"
        rounds = (self._count - 1) // len(self._endpoints)
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0**rounds)
        self._pause = max(wait, random.uniform(longest / 2, longest))

    def error(self) -> SandboxError:
        """What to raise when there is no time left."""
        return SandboxError(
            f"No sandbox gave a result in {time.monotonic() - self._started:.1f} s and {self._count} attempts; "
            f"the last was {self._last}. Check the endpoints and that the service is ready (GET /readyz)."
        )


def _result(url: str, answer: httpx.Response, attempts: _Attempts) -> RunResult | None:
    """The result of an answer; None where another attempt may help.

    Raises:
        UsageError: the service refuses this request for good.
        SandboxError: the answer is not that of a sandbox, or the token is not accepted.
    """
    if answer.status_code in _TRY_AGAIN:
        wait = answer.headers.get("retry-after", "")
        attempts.failed(url, f"HTTP {answer.status_code} {answer.text[:200]}", float(wait) if wait.isdigit() else 0.0)
        return None
    if answer.status_code in (401, 403):
        raise SandboxError(f"The sandbox at {url} does not accept the bearer token (HTTP {answer.status_code}).")
    if 400 <= answer.status_code < 500:
        raise UsageError(f"The sandbox at {url} refuses the request (HTTP {answer.status_code}): {answer.text[:500]}")
    try:
        return RunResult(**answer.json())
    except (ValueError, TypeError) as error:
        raise SandboxError(f"{url} does not answer as a sandbox does: {error}; check the endpoint.") from error
