"""Votes over answers that need no grader: letters, and words in any spelling."""

from __future__ import annotations

from collections.abc import Sequence

from agent0.answers.normalisation import normalise
from agent0.types import Vote


def exact_vote(answers: Sequence[str | None]) -> Vote:
    """Vote on answers that are the same only if they are written the same; ties go to the earliest."""
    counts: dict[str, int] = {}
    for answer in answers:
        if answer is not None:
            counts[answer] = counts.get(answer, 0) + 1
    winner = max(counts, key=counts.__getitem__, default=None)
    return Vote(answer=winner, count=counts.get(winner or "", 0), k=len(answers), clusters=len(counts))


def spelling_vote(answers: Sequence[str | None]) -> Vote:
    """Vote on answers that are the same if their canonical spelling is: `12`, `12.0` and `$12$`, not `ab` and `ba`."""
    forms = [None if answer is None else normalise(answer) for answer in answers]
    vote = exact_vote(forms)
    return vote if vote.answer is None else vote.model_copy(update={"answer": answers[forms.index(vote.answer)]})
