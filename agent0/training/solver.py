"""How the frozen executor comes to the questions that are proposed in a batch: as each is proposed, or all at once.

Where it draws with engines of its own, it begins with a question while the curriculum agent still proposes others. What
shares an engine or this machine's cores with the agent in training has its turn when the proposals are there. Either
way each question is solved once however often it is proposed, and its vote begins to be counted, in another process,
when its last answer is there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from agent0.answers import VoteCounter
from agent0.progress import UNSHOWN, Drawing, Shown
from agent0.rollout.agents import ExecutorAgent
from agent0.types import Trajectory, Vote

UNIT = "executor trajectories"


@dataclass(frozen=True)
class Solution:
    """What the executor made of a question: its trajectories, and the vote on their answers once it is counted."""

    trajectories: list[Trajectory]
    counted: Future[Vote]


class Solver(Protocol):
    """Has the questions of one batch after the other solved, and their votes counted."""

    def ask(self, question: str, seed: int) -> None:
        """Hear of a question the moment it is proposed; `seed` is the batch's."""

    def solve(self, questions: Sequence[str], seed: int) -> dict[str, Solution]:
        """Return the solutions of all of a batch's questions, each named once; the batch ends with this.

        Raises:
            Agent0Error: the executor or the sandbox failed.
        """


class BatchSolver:
    """Solves a batch when all of it is there, `samples` trajectories a question."""

    def __init__(self, executor: ExecutorAgent, counter: VoteCounter, samples: int, shown: Shown = UNSHOWN) -> None:
        self._executor = executor
        self._counter = counter
        self._samples = samples
        self._shown = shown

    def ask(self, question: str, seed: int) -> None:
        """Leave it to wait for the others; see `Solver`."""

    def solve(self, questions: Sequence[str], seed: int) -> dict[str, Solution]:
        """See `Solver`."""
        solutions: dict[str, Solution] = {}

        def solved(_: int, place: int, trajectories: list[Trajectory]) -> None:
            solutions[questions[place]] = _begin_to_count(trajectories, self._counter)

        watch = Drawing(self._shown, len(questions) * self._samples, UNIT)
        self._executor.solve(questions, self._samples, seed, watch, solved)
        return solutions


class EarlySolver:
    """Solves each question from the moment it is asked, in an event loop in a thread of its own.

    Use it as a context manager; what it is at work on when left is given up.
    """

    def __init__(self, executor: ExecutorAgent, counter: VoteCounter, samples: int, shown: Shown = UNSHOWN) -> None:
        self._executor = executor
        self._counter = counter
        self._samples = samples
        self._shown = shown
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agent0-executor", daemon=True)
        self._batch: _Batch | None = None

    def __enter__(self) -> EarlySolver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(_end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ask(self, question: str, seed: int) -> None:
        """See `Solver`.

        Raises:
            Agent0Error: the executor or the sandbox has failed meanwhile.
        """
        batch = self._batch = self._batch or self._begin(seed)
        if batch.work.done():
            batch.work.result()
        if question not in batch.questions:
            batch.questions.append(question)
            batch.watch.expect(self._samples)
            self._loop.call_soon_threadsafe(batch.asked.put_nowait, (len(batch.questions) - 1, question))

    def solve(self, questions: Sequence[str], seed: int) -> dict[str, Solution]:
        """See `Solver`."""
        for question in questions:
            self.ask(question, seed)
        batch, self._batch = self._batch, None
        if batch is None:
            return {}
        self._loop.call_soon_threadsafe(batch.asked.put_nowait, None)
        batch.work.result()
        return {question: batch.solutions[question] for question in questions}

    def _begin(self, seed: int) -> _Batch:
        batch = _Batch(Drawing(self._shown, 0, UNIT), self._counter)
        work = self._executor.solve_as_they_come(batch.come(), self._samples, seed, batch.solved, batch.watch)
        batch.work = asyncio.run_coroutine_threadsafe(work, self._loop)
        return batch


@dataclass
class _Batch:
    """A batch whose questions come one by one, and what has become of them."""

    watch: Drawing
    counter: VoteCounter
    work: Future[None] = field(init=False)
    questions: list[str] = field(default_factory=list)
    solutions: dict[str, Solution] = field(default_factory=dict)
    asked: asyncio.Queue[tuple[int, str] | None] = field(default_factory=asyncio.Queue)

    async def come(self) -> AsyncIterator[tuple[int, str]]:
        while (asked := await self.asked.get()) is not None:
            yield asked

    def solved(self, number: int, _: int, trajectories: list[Trajectory]) -> None:
        self.solutions[self.questions[number]] = _begin_to_count(trajectories, self.counter)


def _begin_to_count(trajectories: list[Trajectory], counter: VoteCounter) -> Solution:
    return Solution(trajectories, counter.count([trajectory.answer for trajectory in trajectories]))


async def _end_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
