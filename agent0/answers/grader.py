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

from agent0.answers.costly_answers import MAX_CHARACTERS, refusal
from agent0.answers.exact_rules import decide
from agent0.answers.math_verify_pool import WorkerPool
from agent0.answers.math_verify_texts import prepared
from agent0.answers.normalisation import normalise
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
        self._workers = workers or len(os.sched_getaffinity(0))
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._cache_size = cache_size
        self._cache: OrderedDict[tuple[str, str], Future[Verdict]] = OrderedDict()
        self._pool: WorkerPool | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()

    def __enter__(self) -> Grader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes; the grader may be used again, which starts new ones."""
        self._notice_fork()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def equivalent(self, gold: str | None, answer: str | None) -> Verdict:
        """Compare an answer with the reference; order matters for relations, where the gold sets the form.

        Raises:
            Agent0Error: the pair needs a worker and none starts.
        """
        return self.submit(gold, answer).result()

    async def equivalent_async(self, gold: str | None, answer: str | None) -> Verdict:
        """Compare as `equivalent` does, without blocking the event loop."""
        # shielded: another caller may wait for the same pair
        return await asyncio.shield(asyncio.wrap_future(self.submit(gold, answer)))

    def equivalent_many(self, pairs: Iterable[Pair]) -> list[Verdict]:
        """Compare many (gold, answer) pairs with all workers busy; verdicts come back in order.

        Raises:
            Agent0Error: a pair needs a worker and none starts.
        """
        futures: list[Future[Verdict]] = []
        try:
            futures.extend(self.submit(gold, answer) for gold, answer in pairs)
            return [future.result() for future in futures]
        except BaseException:  # an interrupted program must not wait for what nobody will read
            for future in futures:
                future.cancel()
            raise

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
        if max(len(gold_form), len(answer_form)) > MAX_CHARACTERS:
            return _done(Verdict.ERROR)
        gold, answer = prepared(gold, answer)
        if refusal(gold) or refusal(answer):
            return _done(Verdict.ERROR)
        return self._ask(gold, answer)

    def _ask(self, gold: str, answer: str) -> Future[Verdict]:
        self._notice_fork()
        key = (gold, answer)
        with self._lock:
            future = self._cache.get(key)
            if future is not None:
                self._cache.move_to_end(key)
                return future
            if self._pool is None:
                self._pool = WorkerPool(self._workers, self._seconds, self._memory_mb)
            future = self._pool.submit(gold, answer)
            self._cache[key] = future
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        future.add_done_callback(lambda done: self._forget_failure(key, done))
        return future

    def _forget_failure(self, key: tuple[str, str], done: Future[Verdict]) -> None:
        if done.cancelled() or done.exception() is not None:
            with self._lock:
                self._cache.pop(key, None)

    def _notice_fork(self) -> None:
        """Start afresh in a forked copy of the process, which has neither the threads nor a sound lock."""
        if self._process != os.getpid():
            self._lock = threading.Lock()
            self._cache = OrderedDict((key, future) for key, future in self._cache.items() if future.done())
            self._pool = None
            self._process = os.getpid()


def _done(verdict: Verdict) -> Future[Verdict]:
    future: Future[Verdict] = Future()
    future.set_result(verdict)
    return future
