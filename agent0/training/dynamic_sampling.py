"""Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2): groups that teach nothing are replaced by other tasks'.

Where all trajectories of a group are right, or all are wrong, every advantage is 0. Such a group is drawn anew, of
another task, some rounds long; what then still teaches nothing is trained on as it is. Each process sees to its own
groups. Which tasks come in depends on the seed, the step and the process alone, so a resumed training draws the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from agent0.seeds import derive_seed
from agent0.training.policy_rollouts import Columns, Draw
from agent0.types import Trajectory

REDRAWN_COLUMN = "redrawn"
Row = Mapping[str, Any]
Judge = Callable[[Sequence[Trajectory], Row], Sequence[float]]


class DynamicSampling:
    """Draws groups whose rewards differ, as far as `rounds` of replacing the others go; see `policy.Choose`.

    Args:
        rows: all tasks, as rows of the dataset.
        judge: the reward of each trajectory of a group, whose task is the row.
        group_size: trajectories of a group.
        rounds: how many times groups are replaced.
        spare: rows that replace others; all where none are given.
    """

    def __init__(
        self, rows: Sequence[Row], judge: Judge, group_size: int, rounds: int, spare: Sequence[Row] = ()
    ) -> None:
        self._rows = {row["prompt"]: row for row in rows}
        self._spare = {row["prompt"]: row for row in spare} or self._rows
        self._judge = judge
        self._size = group_size
        self._rounds = rounds

    def __call__(self, prompts: Sequence[str], draw: Draw, seed: int) -> tuple[list[Trajectory], Columns]:
        """Return the trajectories, and the columns of the tasks that they are of."""
        tasks = [self._rows[prompt] for prompt in prompts[:: self._size]]
        groups = self._groups(tasks, draw, seed)
        redrawn = [0.0] * len(tasks)
        for number in range(1, self._rounds + 1):
            idle = [place for place, task in enumerate(tasks) if len(set(self._judge(groups[place], task))) == 1]
            if not idle:
                break
            others = self._others(tasks, len(idle), derive_seed(seed, "others", number))
            drawn = self._groups(others, draw, derive_seed(seed, "redrawn", number))
            for place, task, group in zip(idle, others, drawn, strict=True):
                tasks[place], groups[place], redrawn[place] = task, group, 1.0
        columns = {name: self._repeated([task[name] for task in tasks]) for name in tasks[0] if name != "prompt"}
        return list(chain.from_iterable(groups)), {**columns, REDRAWN_COLUMN: self._repeated(redrawn)}

    def _groups(self, tasks: Sequence[Row], draw: Draw, seed: int) -> list[list[Trajectory]]:
        trajectories = draw(self._repeated([task["prompt"] for task in tasks]), seed)
        return [trajectories[start : start + self._size] for start in range(0, len(trajectories), self._size)]

    def _repeated(self, values: Sequence[Any]) -> list[Any]:
        return [value for value in values for _ in range(self._size)]

    def _others(self, tasks: Sequence[Row], count: int, seed: int) -> list[Row]:
        """Return tasks that are not in the batch, each once where there are enough of them."""
        asked = {task["prompt"] for task in tasks}
        others = [row for prompt, row in self._spare.items() if prompt not in asked] or list(self._spare.values())
        chosen = random.Random(seed)
        return chosen.sample(others, count) if len(others) >= count else chosen.choices(others, k=count)
