"""What a pool tells about itself."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from agent0.sandbox.result import RunResult

_WINDOW = 2000


@dataclass(frozen=True)
class Gauges:
    """A reading of a pool.

    Attributes:
        queued: programs that wait for a worker.
        running: programs in progress.
        finished: programs by status, since the start.
        kills: programs that the sandbox ended (time, output, threads, scratch, cancellation).
        restarts: fork servers replaced after a crash.
        recycled: fork servers replaced after their share of runs.
        p50_seconds, p99_seconds: from submission to result, over the last 2,000 programs; 0 before the first.
    """

    queued: int
    running: int
    finished: dict[str, int]
    kills: int
    restarts: int
    recycled: int
    p50_seconds: float
    p99_seconds: float

    def metrics(self) -> dict[str, float]:
        """Return the reading as numbers for the tracker; shares are of the finished programs."""
        programs = sum(self.finished.values())
        if not programs:
            return {"sandbox/programs": 0.0}
        return {
            "sandbox/programs": float(programs),
            "sandbox/ok_share": self.finished.get("ok", 0) / programs,
            "sandbox/timeout_share": self.finished.get("timeout", 0) / programs,
            "sandbox/kills": float(self.kills),
            "sandbox/restarts": float(self.restarts),
            "sandbox/p50_seconds": self.p50_seconds,
            "sandbox/p99_seconds": self.p99_seconds,
        }


class Meter:
    """Counts for `Gauges`; belongs to the engine's thread."""

    def __init__(self) -> None:
        self.restarts = 0
        self.recycled = 0
        self._finished: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=_WINDOW)

    def count(self, result: RunResult, latency: float) -> None:
        """Note a finished run."""
        self._finished[result.status] += 1
        self._latencies.append(latency)

    def read(self, queued: int, running: int) -> Gauges:
        """The reading now."""
        ordered = sorted(self._latencies.copy())
        finished = dict(self._finished)
        return Gauges(
            queued=queued,
            running=running,
            finished=finished,
            kills=sum(finished.get(status, 0) for status in ("timeout", "output_limit", "killed")),
            restarts=self.restarts,
            recycled=self.recycled,
            p50_seconds=_quantile(ordered, 0.5),
            p99_seconds=_quantile(ordered, 0.99),
        )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
