"""More groups begun than a batch needs, so that it does not wait for its slowest: the first that end are trained on.

That favours what is short, which is why it is off by default, and what ends first is up to the machine, so that no two
runs are alike. Needs a backend that serves any mixture of trajectories and lets go of those that are cancelled.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from agent0.rollout import Batch, RolloutEngine
from agent0.rollout.drawing_watch import Watch
from agent0.training.grpo import Row
from agent0.types import Trajectory

PROMPT_COLUMN = "prompt"


@dataclass(frozen=True)
class Taken:
    """What a batch consists of: trajectories, the columns of each, and what is to be said of those left out."""

    trajectories: list[Trajectory]
    columns: dict[str, list[Any]]
    metrics: dict[str, float]


@dataclass(frozen=True)
class Oversampling:
    """Begins `factor` times the groups that a batch needs, each of `group` trajectories of one row.

    `rows` are those of the data set. `spare` returns the prompts of further groups, given those of the batch, how many
    there shall be, and a seed.
    """

    factor: float
    group: int
    rows: Sequence[Row]
    spare: Callable[[Sequence[str], int, int], Sequence[str]]

    def draw(
        self,
        engine: RolloutEngine,
        prompts: Sequence[str],
        encode: Callable[[str], list[int]],
        seed: int,
        watch: Watch,
        taken: Callable[[Trajectory], None],
    ) -> Taken:
        """Return the groups that end first, in the order in which they were begun.

        Args:
            engine: what draws; its backend takes trajectories in any mixture.
            prompts: of each trajectory of the batch, those of a group in a row.
            encode: turns a prompt into token ids.
            seed: of the batch.
            watch: told of what is drawn.
            taken: told of each trajectory of a group when the group has ended.
        """
        own = prompts[:: self.group]
        more = self.spare(own, math.ceil(len(own) * self.factor) - len(own), seed)
        begun = [prompt for prompt in (*own, *more) for _ in range(self.group)]
        ended: dict[int, Trajectory] = {}
        whole: list[int] = []
        sizes: Counter[int] = Counter()

        def hear(_batch: Batch, number: int, drawn: list[Trajectory]) -> None:
            if len(whole) == len(own):
                raise _EnoughError
            group = number // self.group
            ended[number] = drawn[0]
            sizes[group] += 1
            if sizes[group] == self.group:
                whole.append(group)
                for member in self._members(group):
                    taken(ended[member])
            if len(whole) == len(own):
                raise _EnoughError

        before = engine.throughput.tokens
        with contextlib.suppress(_EnoughError):
            engine.run_batches([Batch(0, [encode(prompt) for prompt in begun], seed)], lambda *_: None, watch, hear)
        numbers = [member for group in sorted(whole) for member in self._members(group)]
        trajectories = [ended[number] for number in numbers]
        drawn = engine.throughput.tokens - before
        row_of = {row[PROMPT_COLUMN]: row for row in self.rows}
        rows = [row_of[begun[number]] for number in numbers]
        return Taken(
            trajectories,
            {name: [row[name] for row in rows] for name in rows[0] if name != PROMPT_COLUMN},
            _metrics(trajectories, list(ended.values()), len(begun), drawn),
        )

    def _members(self, group: int) -> range:
        return range(group * self.group, (group + 1) * self.group)


class _EnoughError(Exception):
    """As many groups have ended as a batch needs."""


def _metrics(taken: list[Trajectory], ended: list[Trajectory], begun: int, drawn: int) -> dict[str, float]:
    """Return what was left out, and how much shorter than all is what was taken.

    How long a trajectory would have become that was stopped, nobody knows; it counts as long as the longest that ended.
    """
    lengths = [len(trajectory.completion_ids) for trajectory in ended]
    everything = [*lengths, *[max(lengths)] * (begun - len(ended))]
    return {
        "oversample/left_out": float(begun - len(taken)),
        "oversample/stopped": float(begun - len(ended)),
        "oversample/tokens_left_out": float(drawn - sum(sum(trajectory.mask) for trajectory in taken)),
        "oversample/length_bias": fmean(len(t.completion_ids) for t in taken) / fmean(everything) - 1.0,
    }
