"""Threads that work on one transfer together and stop together when one of them fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")
ProgressCallback = Callable[[int, int], None]


class StoppedError(Exception):
    """Another thread of the crew failed, so this one gave up; the other's error is the one that is raised."""


class Crew:
    """Threads for the length of one transfer, `size` jobs at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._stop = threading.Event()

    def run(self, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run all jobs and return their results in order; a job may run further jobs of the same crew.

        Raises:
            Exception: that of a job that failed; the others stop as soon as they can.
        """
        if not jobs:
            return []
        with ThreadPoolExecutor(min(self.size, len(jobs)), "storage") as pool:
            futures = [pool.submit(self._run_one, job) for job in jobs]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            if any(future.done() and future.exception() for future in futures):
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise _cause(futures)
            return [future.result() for future in futures]

    def pause(self, seconds: float) -> None:
        """Wait, or raise `StoppedError` as soon as another thread has failed."""
        if self._stop.wait(seconds):
            raise StoppedError

    def _run_one(self, job: Callable[[], Result]) -> Result:
        self.pause(0)
        return job()


def _cause(futures: Sequence[Future[Result]]) -> BaseException:
    """Return the error that stopped the crew, not one of those that followed from it."""
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    return next((error for error in errors if not isinstance(error, StoppedError)), errors[0])


class Meter:
    """Counts bytes that are done over all threads and tells a callback."""

    def __init__(self, total: int, callback: ProgressCallback | None) -> None:
        self._total = total
        self._done = 0
        self._callback = callback
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count `count` more bytes as done."""
        with self._lock:
            self._done += count
            if self._callback:
                self._callback(self._done, self._total)
