"""Which rows of a batch go through the model together: passes within a budget of tokens, with little padding.

A pass is as wide as its longest row, so rows of like lengths belong together. Where a pass may read a prompt once for
all of its rows that hold it, rows of one prompt do; which of the two saves more depends on the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """How many tokens a row has; rows of the same prompt share its number."""

    prompt: int
    prompt_tokens: int
    completion_tokens: int


def positions(rows: Sequence[Row], shares_prompts: bool) -> int:
    """Return the positions that a pass over these rows computes, padding included.

    Args:
        rows: of the pass.
        shares_prompts: whether a prompt may be read once for all of them; it is where that costs less.
    """
    whole = len(rows) * max(row.prompt_tokens + row.completion_tokens for row in rows)
    return min(whole, _positions_shared(rows)) if shares_prompts else whole


def reads_prompts_once(rows: Sequence[Row]) -> bool:
    """Whether a pass over these rows costs less if it reads each of its prompts once."""
    return _positions_shared(rows) < positions(rows, shares_prompts=False)


def _positions_shared(rows: Sequence[Row]) -> int:
    """All but a prompt's last token is read once; that goes with each completion, whose first token it predicts."""
    prompts = len({row.prompt for row in rows}) * (max(row.prompt_tokens for row in rows) - 1)
    return prompts + len(rows) * (1 + max(row.completion_tokens for row in rows))


def tokens(rows: Sequence[Row], shares_prompts: bool) -> int:
    """Return those of `positions` that hold a token."""
    completions = sum(row.completion_tokens for row in rows)
    if shares_prompts and reads_prompts_once(rows):
        return sum({row.prompt: row.prompt_tokens - 1 for row in rows}.values()) + len(rows) + completions
    return sum(row.prompt_tokens for row in rows) + completions


def deal(rows: Sequence[Row], budget: int, shares_prompts: bool) -> list[list[int]]:
    """Return passes, each the numbers of its rows, of at most `budget` positions; a row above it has one of its own."""
    dealt = [_filled(by_length(rows), rows, budget, shares_prompts)]
    if shares_prompts:
        dealt.append(_filled(by_prompt(rows), rows, budget, shares_prompts))
    return min(dealt, key=lambda passes: sum(positions([rows[i] for i in one], shares_prompts) for one in passes))


def by_length(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of the rows, the longest first: a pass that does not fit in memory fails at once."""
    return sorted(range(len(rows)), key=lambda i: -rows[i].prompt_tokens - rows[i].completion_tokens)


def by_prompt(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of the rows, by prompt and then by length."""
    return sorted(range(len(rows)), key=lambda i: (rows[i].prompt, rows[i].prompt_tokens + rows[i].completion_tokens))


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


def _filled(order: Iterable[int], rows: Sequence[Row], budget: int, shares_prompts: bool) -> list[list[int]]:
    passes: list[list[int]] = []
    for number in order:
        if passes and positions([rows[i] for i in (*passes[-1], number)], shares_prompts) <= budget:
            passes[-1].append(number)
        else:
            passes.append([number])
    return passes
