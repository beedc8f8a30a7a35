"""Which rows of a batch go through the model together: passes within a budget of tokens, with little padding.

A pass is as wide as its longest row, so rows of like lengths belong together. Where a pass may read a prompt once for
all of its rows that hold it, rows of one prompt do; which of the two saves more depends on the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

OVERHEAD = 1 / 16
"""What one more pass costs, as a share of the budget: a pass that is not full wastes its start, and, where weights are
shared out, their gathering. Less padding pays for it up to there."""

COPY = 1 / 8
"""What a row keeps of a prompt that is read once for several, as a share of reading it: its own copy of the keys and
values, for the backward pass. Computed is a tenth, of whatever width a model is: twice its width of some 22 times that
a layer keeps of a token; `bench/training.py` measures that it is no more."""


class Row(NamedTuple):
    """How many tokens a row has; rows of the same prompt share its number."""

    prompt: int
    prompt_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        """All that it holds."""
        return self.prompt_tokens + self.completion_tokens


class Size(NamedTuple):
    """How large a pass is: the positions that take the memory that it takes, and its rows."""

    positions: int
    rows: int


class _Extent:
    """How wide and high a pass over some rows is."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows = self.prompt = self.completion = self.whole = 0
        self.prompts: set[int] = set()
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        self.rows += 1
        self.prompts.add(row.prompt)
        self.prompt = max(self.prompt, row.prompt_tokens)
        self.completion = max(self.completion, row.completion_tokens)
        self.whole = max(self.whole, row.tokens)

    @property
    def alone(self) -> int:
        """Positions where each row is read whole."""
        return self.rows * self.whole

    @property
    def shared(self) -> int:
        """Positions where a prompt is read once but for its last token.

        That one goes with each completion, whose first token it predicts.
        """
        return len(self.prompts) * (self.prompt - 1) + self.rows * (1 + self.completion)

    def positions(self, shares_prompts: bool) -> int:
        return min(self.alone, self.shared) if shares_prompts else self.alone

    def held(self, shares_prompts: bool) -> float:
        """As many positions as take the memory that a pass takes."""
        if not shares_prompts or self.alone <= self.shared:
            return self.alone
        return self.shared + COPY * self.rows * (self.prompt - 1)


def positions(rows: Sequence[Row], shares_prompts: bool) -> int:
    """Return the positions that a pass over these rows computes, padding included.

    Args:
        rows: of the pass.
        shares_prompts: whether a prompt may be read once for all of them; it is where that costs less.
    """
    return _Extent(rows).positions(shares_prompts)


def size(rows: Sequence[Row], shares_prompts: bool) -> Size:
    """Return the size of a pass over these rows, as a budget of `deal` counts it; the arguments are those above."""
    return Size(math.ceil(_Extent(rows).held(shares_prompts)), len(rows))


def reads_prompts_once(rows: Sequence[Row]) -> bool:
    """Whether a pass over these rows costs less if it reads each of its prompts once."""
    extent = _Extent(rows)
    return extent.shared < extent.alone


def deal(rows: Sequence[Row], budget: int, shares_prompts: bool) -> list[list[int]]:
    """Return passes, each the numbers of its rows, that keep no more than so many positions would.

    A row above the budget has a pass of its own, and copies of shared prompts count (`COPY`).
    """
    orders = [by_length(rows), *([by_prompt(rows)] if shares_prompts else [])]
    dealt = [_cut(order, rows, budget, shares_prompts) for order in orders]
    return min(dealt, key=lambda item: item[0])[1]


def by_length(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of the rows, the longest first: a pass that does not fit in memory fails at once."""
    return sorted(range(len(rows)), key=lambda i: -rows[i].tokens)


def by_prompt(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of the rows, by prompt and then by length."""
    return sorted(range(len(rows)), key=lambda i: (rows[i].prompt, rows[i].tokens))


def split_to(passes: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """Return passes over the same rows, `count` of them: the largest are halved until there are so many.

    Processes that share a model's weights out must all make as many passes. There must be as many rows.
    """
    split = [list(one) for one in passes]
    while len(split) < count:
        largest = max(range(len(split)), key=lambda i: len(split[i]))
        half = len(split[largest]) // 2
        split[largest : largest + 1] = [split[largest][:half], split[largest][half:]]
    return split


def _cut(order: Sequence[int], rows: Sequence[Row], budget: int, shares_prompts: bool) -> tuple[float, list[list[int]]]:
    """Return the cheapest cut of an order into passes within the budget, and its cost: positions and `OVERHEAD`.

    The best cut of the first n rows is the best one of fewer with one more pass behind.
    """
    costs, begins = [0.0], [0]
    for end in range(1, len(order) + 1):
        extent = _Extent()
        choices: list[tuple[float, int]] = []
        for begin in range(end - 1, -1, -1):
            extent.add(rows[order[begin]])
            if extent.held(shares_prompts) > budget and choices:
                break
            choices.append((costs[begin] + extent.positions(shares_prompts) + OVERHEAD * budget, begin))
        cost, begin = min(choices)
        costs.append(cost)
        begins.append(begin)
    passes, end = [], len(order)
    while end:
        passes.append(list(order[begins[end] : end]))
        end = begins[end]
    return costs[-1], passes[::-1]
