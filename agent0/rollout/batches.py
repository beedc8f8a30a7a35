"""What the engine is asked for, and how it hands over what it drew."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from agent0.seeds import derive_seed
from agent0.tools import ProgramRunner
from agent0.types import Trajectory

Settle = Callable[[int, Trajectory, ProgramRunner], Awaitable[Trajectory]]
"""Makes of the trajectory of a prompt, by its number, what is delivered; it may run programs, while others draw."""


@dataclass(frozen=True)
class Batch:
    """Prompts (token ids) that are delivered together; `seed` determines every trajectory's own.

    `seeds` names those seeds one by one, for who may run any part of a larger batch. Each `group` prompts in a row are
    one group, which is told of as soon as it has ended. `settle` has a part in what a trajectory has come to.
    """

    key: int
    prompts: Sequence[Sequence[int]]
    seed: int = 0
    seeds: Sequence[int] | None = None
    group: int = 1
    settle: Settle | None = None

    def seed_of(self, number: int) -> int:
        """Return the seed of the trajectory of prompt `number`."""
        return derive_seed(self.seed, number) if self.seeds is None else self.seeds[number]

    async def settled(self, number: int, trajectory: Trajectory, sandbox: ProgramRunner) -> Trajectory:
        """Return what is delivered for the trajectory of prompt `number`."""
        return await self.settle(number, trajectory, sandbox) if self.settle else trajectory


Deliver = Callable[[Batch, list[Trajectory]], None]
"""Takes over a batch with its trajectories, in the order of its prompts."""

Ended = Callable[[Batch, int, list[Trajectory]], None]
"""Told of a group of a batch, by its number, the moment the last of its trajectories has ended. It must be quick: all
others wait meanwhile."""


def unheard(batch: Batch, group: int, trajectories: list[Trajectory]) -> None:
    """Let a group end; see `Ended`."""


async def one_by_one(batches: Iterable[Batch] | AsyncIterable[Batch]) -> AsyncIterator[Batch]:
    """Yield batches, whether they are all there or still to come."""
    if isinstance(batches, AsyncIterable):
        async for batch in batches:
            yield batch
    else:
        for batch in batches:
            yield batch
