"""The one grader: normalise first, exact rules second, Math-Verify in a killable process last.

Works from any thread and from asyncio. The caller's process never imports sympy or Math-Verify.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future
from types import TracebackType

from agent0.answers.guards import refusal
from agent0.answers.normalisation import normalise
from agent0.answers.pool import WorkerPool
from agent0.answers.quick import decide
from agent0.answers.verdict import Verdict

Pair = tuple[str | None, str | None]


class Grader:
    """Compares answers; owns a cache and a pool of processes, started at the first pair that needs one.

    Args:
        workers: processes; 0 means one per core that this process may use.
        seconds: wall-clock limit of one pair in a worker.
        memory_mb: address space of one worker, MiB.
        cache_size: verdicts kept, least recently used first out.
    """

    def __init__(
        self, workers: int = 0, seconds: float = 5.0, memory_mb: int = 1024, cache_size: int = 100_000
    ) -> None:
        self.seconds = seconds
        self._workers = workers or len(os.sched_getaffinity(0))
        self._memory_mb = memory_mb
        self._cache_size = cache_size
        self._cache: OrderedDict[tuple[str, str], Verdict] = OrderedDict()
        self._pool: WorkerPool | None = None
        self._pool_owner = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Grader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes; the grader may be used again, which starts new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._pool_owner == os.getpid():
            pool.close()

    def equivalent(self, gold: str | None, answer: str | None) -> Verdict:
        """Compare an answer with the reference; order matters for relations, where the gold sets the form.

        Raises:
            Agent0Error: the pair needs a worker and none starts.
        """
        return self.submit(gold, answer).result()

    async def equivalent_async(self, gold: str | None, answer: str | None) -> Verdict:
        """Compare as `equivalent` does, without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(gold, answer))

    def equivalent_many(self, pairs: Iterable[Pair]) -> list[Verdict]:
        """Compare many (gold, answer) pairs with all workers busy; verdicts come back in order."""
        futures = [self.submit(gold, answer) for gold, answer in pairs]
        return [future.result() for future in futures]

    def submit(self, gold: str | None, answer: str | None) -> Future[Verdict]:
        """Start comparing a pair; the future is already done for the pairs that need no worker."""
        if answer is None:
            return _done(Verdict.NO_ANSWER)
        if gold is None:
            return _done(Verdict.ERROR)
        gold_form, answer_form = normalise(gold), normalise(answer)
        if not answer_form:
            return _done(Verdict.NO_ANSWER)
        if not gold_form:
            return _done(Verdict.ERROR)
        decision = decide(gold_form, answer_form)
        if decision is not None:
            return _done(Verdict.TRUE if decision else Verdict.FALSE)
        key = (gold_form, answer_form)
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
                return _done(cached)
        if refusal(gold) or refusal(answer):
            return _done(Verdict.ERROR)
        future = self._running_pool().submit(gold, answer)
        future.add_done_callback(lambda done: self._remember(key, done))
        return future

    def _running_pool(self) -> WorkerPool:
        with self._lock:
            if self._pool is None or self._pool_owner != os.getpid():  # a fork inherits no threads
                self._pool = WorkerPool(self._workers, self.seconds, self._memory_mb)
                self._pool_owner = os.getpid()
            return self._pool

    def _remember(self, key: tuple[str, str], done: Future[Verdict]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        with self._lock:
            self._cache[key] = done.result()
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)


def _done(verdict: Verdict) -> Future[Verdict]:
    future: Future[Verdict] = Future()
    future.set_result(verdict)
    return future
