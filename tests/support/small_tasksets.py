"""Environments of verifiers with a handful of tasks. Takes seconds to import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf


class Data(vf.TaskData):
    gold: str


class Exact(vf.Task[Data]):
    @vf.reward
    async def right(self, trace: Any) -> float:
        return float(trace.last_reply == self.data.gold)


class Kind(vf.Task[Data]):
    @vf.reward
    async def polite(self, trace: Any) -> float:
        return 1.0


def taskset(kind: Any, count: int = 40) -> Any:
    class Made(vf.Taskset[kind, vf.TasksetConfig]):
        INFINITE = count == 0

        def load(self) -> Iterator[Any]:
            numbers = range(count) if count else iter(int, 1)
            for number in numbers:
                yield kind(Data(prompt=f"How much is {number} and one?", gold=str(number + 1)), self.config.task)

    return Made(vf.TasksetConfig())
