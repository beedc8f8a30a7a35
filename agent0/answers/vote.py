"""Which of k answers wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent0.answers.exact_rules import decide
from agent0.answers.grader import Grader
from agent0.answers.normalisation import normalise
from agent0.errors import UsageError
from agent0.types import Vote


def vote(answers: Sequence[str | None], grader: Grader) -> Vote:
    """Return the majority answer of k samples.

    Answers are grouped by normal form. The groups are merged, the largest first and then by their forms, each into
    the first cluster all of whose forms it is equivalent to, in either direction: `50%` is 0.5 and 50, which are not
    the same, and joins one of them whatever the order of the samples. Ties go to the cluster whose first sample is
    earliest. A missing or blank answer counts in k and in nothing else.

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
    if not groups:
        return Vote(answer=None, count=0, k=len(answers), clusters=0)
    written = {form: _shortest([answers[index] for index in members]) for form, members in groups.items()}
    clusters: list[list[str]] = []
    for form in sorted(groups, key=lambda form: (-len(groups[form]), form)):
        home = _home(form, clusters, written, grader)
        if home is None:
            clusters.append([form])
        else:
            home.append(form)
    samples = [sorted(index for form in cluster for index in groups[form]) for cluster in clusters]
    winner = min(samples, key=lambda members: (-len(members), members[0]))
    return Vote(answer=answers[winner[0]], count=len(winner), k=len(answers), clusters=len(clusters))


def _shortest(spellings: Sequence[str | None]) -> str:
    """Return one spelling of a form, the same in every order of the samples."""
    return min((text for text in spellings if text is not None), key=lambda text: (len(text), text))


def _home(form: str, clusters: list[list[str]], written: Mapping[str, str], grader: Grader) -> list[str] | None:
    """Return the first cluster that `form` is equivalent to all of, in either direction."""
    decisions = {other: _decide_either(other, form) for cluster in clusters for other in cluster}
    for cluster in clusters:
        if any(decisions[other] is False for other in cluster):
            continue
        undecided = [(written[other], written[form]) for other in cluster if decisions[other] is None]
        verdicts = grader.equivalent_many([*undecided, *((second, first) for first, second in undecided)])
        half = len(undecided)
        if all(verdicts[number].correct or verdicts[number + half].correct for number in range(half)):
            return cluster
    return None


def _decide_either(one: str, other: str) -> bool | None:
    decisions = (decide(one, other), decide(other, one))
    return True if True in decisions else None if None in decisions else False
