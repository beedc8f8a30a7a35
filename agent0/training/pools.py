"""Difficulty pools, as prime-rl's buffer has them: each batch takes its tasks from pools in given shares.

There difficulty is the mean reward of a task so far; here it is known beforehand, as the self-consistency of its vote.
A place that a pool cannot fill goes to the others. Within a pool no task comes up again before all others have.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from agent0.config import PoolSettings
from agent0.seeds import derive_seed
from agent0.training.grpo import Row
from agent0.types import LabelledTask

EASY, NORMAL, HARD, EARLIER, NEGATIVE = "easy", "normal", "hard", "earlier", "negative"
LABELLED = (NORMAL, HARD, EASY, EARLIER)
ROUNDING = 1e-9  # 100 tasks by a share of 0.29 are 29


def pool_of(task: LabelledTask, settings: PoolSettings) -> str:
    """Return the pool of a task that this iteration kept."""
    if task.vote.self_consistency >= settings.easy_threshold:
        return EASY
    return HARD if task.vote.self_consistency <= settings.hard_threshold else NORMAL


def pooled_rows(pools: dict[str, list[Row]], settings: PoolSettings, groups: int, steps: int, seed: int) -> list[Row]:
    """Return the rows of all batches in the order in which they are trained on.

    Args:
        pools: rows by pool; together at least as many as a batch has groups.
        settings: shares of each batch; what is not named is the normal pool's.
        groups: tasks of a batch.
        steps: batches.
        seed: of the order.
    """
    shares = {
        EASY: settings.easy_share,
        HARD: settings.hard_share,
        EARLIER: settings.earlier_share,
        NEGATIVE: settings.negative_share,
    }
    quotas = {name: math.floor(groups * share + ROUNDING) for name, share in shares.items()}
    quotas[NORMAL] = groups - sum(quotas.values())
    streams = {name: _Stream(pools.get(name, []), derive_seed(seed, "pool", name)) for name in (*LABELLED, NEGATIVE)}
    ordered: list[Row] = []
    for _ in range(steps):
        left = {name: len(stream.rows) for name, stream in streams.items()}
        taken = {name: min(quotas[name], left[name]) for name in streams}
        for name in LABELLED:  # what is missing comes from the normal pool first, from the earlier tasks last
            taken[name] += min(groups - sum(taken.values()), left[name] - taken[name])
        ordered += [row for name, stream in streams.items() for row in stream.take(taken[name])]
    return ordered


class _Stream:
    """The rows of a pool in a random order, and again in another; a batch never holds one twice."""

    def __init__(self, rows: Sequence[Row], seed: int) -> None:
        self.rows = rows
        self._random = random.Random(seed)
        self._waiting: list[Row] = []

    def take(self, count: int) -> list[Row]:
        """Return the next `count` rows, at most as many as there are."""
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if len(taken) < count:
            again = self._random.sample(self.rows, len(self.rows))
            again = [row for row in again if row not in taken] + [row for row in again if row in taken]
            missing = count - len(taken)
            taken, self._waiting = taken + again[:missing], again[missing:]
        return taken
