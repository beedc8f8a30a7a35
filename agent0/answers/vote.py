"""Which of k answers wins."""

from __future__ import annotations

from collections.abc import Sequence

from agent0.answers.grader import Grader
from agent0.answers.normalisation import normalise
from agent0.answers.quick import decide
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
    leaders: list[str] = []
    counts: list[int] = []
    for form, members in groups.items():
        same = _first_equivalent(leaders, form, groups, answers, grader)
        if same is None:
            leaders.append(form)
            counts.append(len(members))
        else:
            counts[same] += len(members)
    if not leaders:
        return Vote(answer=None, count=0, k=len(answers), clusters=0)
    winner = max(range(len(counts)), key=counts.__getitem__)  # the first of equals
    answer = answers[groups[leaders[winner]][0]]
    return Vote(answer=answer, count=counts[winner], k=len(answers), clusters=len(counts))


def _first_equivalent(
    leaders: list[str], form: str, groups: dict[str, list[int]], answers: Sequence[str | None], grader: Grader
) -> int | None:
    """Return the position of the first leader that `form` is equivalent to, in either direction."""
    decisions = [decide(leader, form) for leader in leaders]
    last = decisions.index(True) if True in decisions else len(leaders)
    undecided = [position for position in range(last) if decisions[position] is None]
    written = answers[groups[form][0]]
    pairs = [(answers[groups[leaders[position]][0]], written) for position in undecided]
    verdicts = grader.equivalent_many([*pairs, *((second, first) for first, second in pairs)])
    for number, position in enumerate(undecided):
        if verdicts[number].correct or verdicts[number + len(undecided)].correct:
            return position
    return last if last < len(leaders) else None
