"""What the answer is, whether two answers are the same, and which answer won.

The functions here use one default grader, created at the first comparison; its worker processes start only
when a pair needs Math-Verify and end with the program (or with `close_default_grader`). Construct a `Grader`
to own one. A `VoteCounter` counts votes in a process of its own, for
callers that have an event loop to turn.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from agent0.answers.extraction import extract_answer, extract_boxed
from agent0.answers.grader import Grader, Pair
from agent0.answers.normalisation import normalise
from agent0.answers.verdict import Verdict
from agent0.answers.vote import vote
from agent0.answers.vote_counter import VoteCounter
from agent0.types import Vote

__all__ = [
    "Grader", "Verdict", "VoteCounter", "close_default_grader", "default_grader", "equivalent", "equivalent_many",
    "extract_answer", "extract_boxed", "majority_vote", "normalise",
]  # fmt: skip


@functools.cache
def default_grader() -> Grader:
    """Return the grader behind this module's functions: one worker per core, 5 s and 1 GiB a pair."""
    return Grader()


def close_default_grader() -> None:
    """End the default grader's processes now rather than with the program; later calls start new ones."""
    default_grader().close()


def equivalent(gold: str | None, answer: str | None) -> Verdict:
    """Compare an answer with the reference; see `Grader.equivalent`."""
    return default_grader().equivalent(gold, answer)


def equivalent_many(pairs: Iterable[Pair]) -> list[Verdict]:
    """Compare many (gold, answer) pairs with all cores; see `Grader.equivalent_many`."""
    return default_grader().equivalent_many(pairs)


def majority_vote(answers: Sequence[str | None]) -> Vote:
    """Return the majority answer of k samples; see `agent0.answers.vote.vote`."""
    return vote(answers, default_grader())
