"""Further terms of the curriculum agent's reward: found by name, weighed, gated and logged."""

from __future__ import annotations

import math
from typing import Any

import pytest
from given_plugins import Give

from agent0.config import RewardSettings, load_config, parse_section
from agent0.errors import Agent0Error, UsageError
from agent0.rewards import ProposedTask, Terms, curriculum_reward
from agent0.types import Trajectory, Vote

GROUP = "agent0.rewards"
WRITTEN = Trajectory(prompt_ids=(), completion_ids=(), mask=(), text="", finish="eos")


def task(question: str, count: int = 2, k: int = 4, clusters: int = 2) -> ProposedTask:
    return ProposedTask(question, WRITTEN, (WRITTEN,) * k, Vote(answer="7", count=count, k=k, clusters=clusters))


def length(proposed: ProposedTask) -> float:
    return float(len(proposed.question))


def test_a_term_enters_the_sum_with_its_weight_and_no_invalid_proposal(give: Give) -> None:
    give((GROUP, "length", "their_package:length"), length=length)
    terms = Terms({"length": 0.1, "their_package:length": -0.05}).of([task("abc"), None, task("abcdef")])
    assert terms["length"].tolist() == pytest.approx([0.3, 0.0, 0.6])
    settings = RewardSettings(terms={"length": 0.1, "their_package:length": -0.05})
    reward = curriculum_reward([True, False, True], [0.5, 0.0, 1.0], [0, 0, 0], [0.1, 0.0, 0.2], settings, terms=terms)
    assert reward.total.tolist() == pytest.approx([1 - 0.1 + 0.15, 0, max(0, -0.2 + 0.3)])
    assert reward.means()["terms/length"] == pytest.approx(0.3)
    assert reward.means()["terms/their_package.length"] == pytest.approx(-0.15)


def test_a_term_of_weight_zero_is_asked_and_changes_nothing(give: Give) -> None:
    asked: list[str] = []
    give((GROUP, "seen", "their_package:seen"), seen=lambda proposed: asked.append(proposed.question) or 5.0)
    terms = Terms({"seen": 0.0}).of([task("abc")])
    plain = curriculum_reward([True], [0.5], [0], [0.1], RewardSettings())
    assert curriculum_reward([True], [0.5], [0], [0.1], RewardSettings(), terms=terms).total == plain.total
    assert asked == ["abc"]


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (lambda proposed: 1 / 0, r"The reward term bad failed \(ZeroDivisionError: division by zero\)"),
        (lambda proposed: "high", r"The reward term bad failed \(ValueError: could not convert"),
        (lambda proposed: math.nan, r"The reward term bad is nan for the question 'abc'"),
    ],
)
def test_a_term_that_fails_is_named(term: Any, message: str, give: Give) -> None:
    give((GROUP, "bad", "their_package:bad"), bad=term)
    with pytest.raises(Agent0Error, match=f"^{message}"):
        Terms({"bad": 1.0}).of([task("abc")])


def test_a_term_is_a_setting_of_its_own() -> None:
    given = ["curriculum.reward.terms.length=0.1", "curriculum.reward.terms.spread=-1"]
    assert load_config("tiny", given).curriculum.reward.terms == {"length": 0.1, "spread": -1.0}
    with pytest.raises(UsageError, match=r"Terms would do nothing, since composition 'official-code' knows no weights"):
        parse_section(RewardSettings, {"composition": "official-code", "terms": {"length": 1.0}})
    with pytest.raises(UsageError, match="finite"):
        parse_section(RewardSettings, {"terms": {"length": math.inf}})


def test_terms_that_are_not_there_are_refused_before_anything_starts(give: Give) -> None:
    from agent0.consistency import read_settings

    give()
    with pytest.raises(UsageError, match="There is no reward term 'length'"):
        read_settings("tiny", ["curriculum.reward.terms.length=0.1", "rollout.domain=agent0.domains.arithmetic:DOMAIN"])
