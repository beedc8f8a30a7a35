"""Trajectories for coroutines that each wait for one: drawn together by one rollout engine, while anybody waits.

It runs in the event loop of whoever asks, so cancelling works as anywhere else; a model in this process holds the loop
while it draws.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from agent0.rollout.batches import Batch
from agent0.rollout.engine import RolloutEngine
from agent0.types import Trajectory

Ask = tuple[tuple[int, ...], int]
"""A prompt in tokens, and the trajectory's seed."""


class Drawer:
    """Opens an engine when the first asks, and closes it when nobody waits any more.

    Args:
        opened: opens the model behind an engine.
        alone: held meanwhile; drawers that share it never have their models open at once.
        together: how many that ask without company are drawn as one batch.
    """

    def __init__(
        self, opened: Callable[[], AbstractContextManager[RolloutEngine]], alone: asyncio.Lock, together: int
    ) -> None:
        self._opened = opened
        self._alone = alone
        self._together = together
        self._futures: dict[Ask, asyncio.Future[Trajectory]] = {}
        self._companies: list[Sequence[Ask]] = []
        self._single: list[Ask] = []
        self._serving: asyncio.Task[None] | None = None

    async def trajectory(self, ask: Ask, company: Sequence[Ask] = ()) -> Trajectory:
        """Return the trajectory of `ask`; where `company` is given, all of it is drawn as one batch with it.

        Raises:
            Agent0Error: the model or the sandbox failed.
        """
        if ask not in self._futures:
            for member in company or (ask,):
                self._futures.setdefault(member, asyncio.get_running_loop().create_future())
            if company:
                self._companies.append(company)
            else:
                self._single.append(ask)
            if self._serving is None or self._serving.done():
                self._serving = asyncio.create_task(self._serve())
        future = self._futures[ask]
        try:
            return await asyncio.shield(future)
        finally:
            self._futures.pop(ask, None)

    async def _serve(self) -> None:
        try:
            async with self._alone:
                with self._opened() as engine:
                    while self._companies or self._single:
                        await engine.arun_batches(self._batches(), self._deliver)
        except BaseException as error:  # whatever it is, it concerns everybody who waits
            self._give_up(error)
            if not isinstance(error, Exception):
                raise

    def _batches(self) -> Iterator[Batch]:
        while self._companies or self._single:
            if self._companies:
                members = self._companies.pop(0)
            else:
                members, self._single = self._single[: self._together], self._single[self._together :]
            yield Batch(0, [prompt for prompt, _ in members], seeds=[seed for _, seed in members])

    def _deliver(self, batch: Batch, trajectories: list[Trajectory]) -> None:
        for number, trajectory in enumerate(trajectories):
            future = self._futures.get((tuple(batch.prompts[number]), batch.seed_of(number)))
            if future and not future.done():
                future.set_result(trajectory)

    def _give_up(self, error: BaseException) -> None:
        waiting = {ask: future for ask, future in self._futures.items() if not future.done()}
        for ask, future in waiting.items():
            del self._futures[ask]
            future.set_exception(error)
            future.exception()  # of company that nobody has asked for, nobody will ask
        self._companies, self._single = [], []
