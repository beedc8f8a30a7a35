"""Which of k answers wins."""

from __future__ import annotations

from collections.abc import Sequence

from agent0.answers.grader import Grader
from agent0.answers.normalisation import normalise
from agent0.errors import UsageError
from agent0.types import Vote


def vote(answers: Sequence[str | None], grader: Grader) -> Vote:
    """Return the majority answer of k samples.

    Answers are grouped by normal form; the groups are merged by comparing one representative each, in both
    directions. Ties go to the group whose first sample is earliest. A missing or blank answer counts in k and
    in nothing else.

    Raises:
        UsageError: `answers` is empty.
    """
    if not answers:
        raise UsageError("A vote needs at least one sample; pass None for a sample without an answer.")
    groups: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        form = normalise(answer) if answer is not None else ""
        if form:
            groups.setdefault(form, []).append(index)
    clusters: list[tuple[str, int]] = []  # the earliest answer as its author wrote it, and the votes for it
    for members in groups.values():
        representative = answers[members[0]]
        assert representative is not None
        for position, (leader, count) in enumerate(clusters):
            if (
                grader.equivalent(leader, representative).correct
                or grader.equivalent(representative, leader).correct
            ):
                clusters[position] = (leader, count + len(members))
                break
        else:
            clusters.append((representative, len(members)))
    if not clusters:
        return Vote(answer=None, count=0, k=len(answers), clusters=0)
    answer, count = max(clusters, key=lambda cluster: cluster[1])  # the first of equals
    return Vote(answer=answer, count=count, k=len(answers), clusters=len(clusters))
