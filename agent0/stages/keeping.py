"""Shards that are kept while others are still drawn: in one thread, so that the event loop waits for no disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

MOST_WAITING = 2
"""Shards that wait to be kept, or are being kept; whoever brings one more waits, so that memory is bounded."""

Keep = Callable[[Callable[[], None]], None]
"""Takes what keeps one shard, and lets it run when those before it have."""


@contextmanager
def kept_aside() -> Iterator[Keep]:
    """Yield what keeps shards one after the other; leaving waits for them all, after an error of the caller's too.

    Raises:
        Exception: what keeping one of them raised, as soon as another is brought, or on leaving.
    """
    waiting: deque[Future[None]] = deque()

    def keep(work: Callable[[], None]) -> None:
        while waiting and (waiting[0].done() or len(waiting) == MOST_WAITING):
            waiting.popleft().result()
        waiting.append(thread.submit(work))

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="agent0-shards") as thread:
        yield keep
        for kept in waiting:
            kept.result()
