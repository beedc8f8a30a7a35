"""Which answers a vote refuses: those that next to no sample gave, whether or not the winner can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from agent0.answers.grader import Grader, Pair


def tenable(answers: Sequence[str | None], support: float, grader: Grader) -> tuple[str, ...]:
    """Return the different answers that more than the share `support` of all samples gave; every other is refused.

    Args:
        answers: of a task's samples, None for a sample without one, which counts in their number.
        support: share of the samples up to which an answer is refused.
        grader: says which of the answers are the same.
    """
    texts = sorted({answer for answer in answers if answer is not None})
    pairs = list(combinations(texts, 2))
    same: dict[str, set[str]] = {text: {text} for text in texts}
    for (one, other), verdict in zip(pairs, grader.equivalent_many(pairs), strict=True):
        if verdict.correct:
            same[one].add(other)
            same[other].add(one)
    return tuple(text for text in texts if sum(answer in same[text] for answer in answers) > support * len(answers))


def refused(answered: Sequence[tuple[str | None, Sequence[str]]], grader: Grader) -> list[bool]:
    """Return whether each answer is none of those that its vote left tenable; a missing answer is not refused.

    Args:
        answered: answers, each with what is tenable in its task.
        grader: says which of them are the same.
    """
    pairs: list[Pair] = [(held, answer) for answer, tenable in answered if answer is not None for held in tenable]
    verdicts = iter(grader.equivalent_many(pairs))
    return [answer is not None and not any([next(verdicts).correct for _ in tenable]) for answer, tenable in answered]
