"""How an answer was reached: what can be said for a label beyond the number of samples that repeat it.

Ten samples that run one program are one derivation; a second program with the same result is evidence of another kind.
Two programs are one derivation where they differ in layout, comments, brackets or the names of variables only. An
answer is grounded where the sandbox printed it and the programs hold every number as often as the question states it: a
model that copies a long question wrongly does so the same way again and again, and agrees with itself. Numbers that are
spelled out in words are not looked for.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from agent0.answers.grader import Grader, Pair
from agent0.answers.vote import vote as vote_on
from agent0.types import Trajectory, Vote

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


class Evidence(NamedTuple):
    """What stands behind the answer that won a vote."""

    derivations: int
    """Different derivations that reached it."""
    grounded: float
    """Share of the samples with that answer in which it is grounded."""


def derivation(trajectory: Trajectory) -> str:
    """Return what the trajectory computed, as one text: its programs in order, each in its normal form."""
    return "\n".join(_normal_form(call.code) for call in trajectory.tool_calls)


def evidence(question: str, trajectories: Sequence[Trajectory], vote: Vote, grader: Grader) -> Evidence:
    """Return what stands behind the vote's answer; nothing where no answer won.

    Args:
        question: that was asked.
        trajectories: those that were voted on.
        vote: on their answers.
        grader: says which of them gave that answer and printed it, however they wrote it.
    """
    if vote.answer is None:
        return Evidence(0, 0.0)
    same = _equivalent([(vote.answer, trajectory.answer) for trajectory in trajectories], grader)
    winning = [trajectory for trajectory, won in zip(trajectories, same, strict=True) if won]
    grounded = sum(answer is not None for answer in grounded_answers(question, winning, grader))
    return Evidence(len({derivation(trajectory) for trajectory in winning}), grounded / len(winning))


def grounded_answers(question: str, trajectories: Sequence[Trajectory], grader: Grader) -> list[str | None]:
    """Return the answer of each trajectory where it is grounded, else None."""
    stated = _numbers(_THOUSANDS.sub("", question))
    printed = _equivalent([(_printed(trajectory), trajectory.answer) for trajectory in trajectories], grader)
    return [
        trajectory.answer
        if own and stated <= _numbers("\n".join(call.code for call in trajectory.tool_calls).replace("_", ""))
        else None
        for trajectory, own in zip(trajectories, printed, strict=True)
    ]


def grounded_vote(question: str, trajectories: Sequence[Trajectory], grader: Grader) -> Vote:
    """Return the vote of all samples in which only grounded ones can win: the others count in k and in nothing else."""
    return vote_on(grounded_answers(question, trajectories, grader), grader)


def _equivalent(pairs: Sequence[Pair], grader: Grader) -> list[bool]:
    """Return whether both texts of each pair are the same answer; each pair of texts is compared once."""
    distinct = sorted({(first, second) for first, second in pairs if first is not None and second is not None})
    verdicts = grader.equivalent_many(distinct)
    same = {pair for pair, verdict in zip(distinct, verdicts, strict=True) if verdict.correct}
    return [pair in same for pair in pairs]


def _printed(trajectory: Trajectory) -> str | None:
    """Return the last line that the last program printed; None where it failed, or none ran."""
    if not trajectory.tool_calls or trajectory.tool_calls[-1].status != "ok":
        return None
    lines = trajectory.tool_calls[-1].observation.strip().splitlines()
    return lines[-1] if lines else None


def _numbers(text: str) -> Counter[Decimal]:
    return Counter(Decimal(number) for number in _NUMBER.findall(text))


def _normal_form(code: str) -> str:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what a model writes need not be a program
        return " ".join(code.split())
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    numbers: dict[str, str] = {}
    for name in assigned:
        numbers.setdefault(name.id, f"name {len(numbers)}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = numbers.get(node.id, node.id)
    return ast.dump(tree)
