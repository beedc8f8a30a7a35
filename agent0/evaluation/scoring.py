"""From responses to scores: read each answer, judge it, and say what was missing.

A score is never the luck of a draw: a response without an answer is invalid and counts as wrong. The expected score
of a random draw for those is a figure beside the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent0.answers import Verdict
from agent0.benchmarks.spec import Item, Protocol, Rule

Status = Literal["correct", "wrong", "invalid", "timeout", "error"]
_STATUS: Mapping[Verdict, Status] = {
    Verdict.TRUE: "correct",
    Verdict.FALSE: "wrong",
    Verdict.NO_ANSWER: "invalid",
    Verdict.TIMEOUT: "timeout",
    Verdict.ERROR: "error",
}


@dataclass(frozen=True)
class Scored:
    """What became of one response.

    `invalid` has no answer; `timeout` and `error` could not be judged. All three count as wrong. `others` says how
    the protocol's other rules judged it, `guessing` the expected score with a random draw for an invalid answer.
    """

    answer: str | None
    status: Status
    others: Mapping[str, bool] = field(default_factory=dict)
    guessing: float | None = None

    @property
    def correct(self) -> bool:
        """Whether the answer is right by the protocol's rule."""
        return self.status == "correct"


def score_responses(protocol: Protocol, pairs: Sequence[tuple[Item, str | None]]) -> list[Scored]:
    """Score (item, response) pairs, in order; a response of None is one that the model never gave, an error.

    Time is linear in the responses; the shared grader bounds each hard comparison.
    """
    answers, statuses = _apply(protocol.rule, pairs)
    others = {name: _apply(rule, pairs)[1] for name, rule in protocol.others.items()}
    scored = []
    for index, (item, response) in enumerate(pairs):
        status: Status = "error" if response is None else statuses[index]
        guessing = None
        if protocol.guessing and item.options:
            guessing = 1 / len(item.options) if status == "invalid" else float(status == "correct")
        beside = {name: judged[index] == "correct" for name, judged in others.items()}
        scored.append(Scored(answers[index], status, beside, guessing))
    return scored


def _apply(rule: Rule, pairs: Sequence[tuple[Item, str | None]]) -> tuple[list[str | None], list[Status]]:
    answers = [None if response is None else rule.extract(response, item) for item, response in pairs]
    given = [(item, answer) for (item, _), answer in zip(pairs, answers, strict=True) if answer is not None]
    verdicts = iter(rule.compare(given))
    return answers, ["invalid" if answer is None else _STATUS[next(verdicts)] for answer in answers]
