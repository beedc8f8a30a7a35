from __future__ import annotations

import math

import numpy as np
import pytest

from agent0.config import GateSettings
from agent0.errors import UsageError
from agent0.evaluation.results import QuestionScore
from agent0.promotion.gate import decide_promotion

FAST = GateSettings(draws=1000)


def verdicts(*samples: tuple[bool, ...]) -> dict[str, QuestionScore]:
    return {f"q{i}": QuestionScore(id=f"q{i}", correct=given) for i, given in enumerate(samples)}


def single(right: int, questions: int, first: int = 0) -> dict[str, QuestionScore]:
    """One sample a question, of which `right` in a row are correct."""
    return verdicts(*((first <= i < first + right,) for i in range(questions)))


def test_a_shown_gain_without_a_loss_is_promoted() -> None:
    decision = decide_promotion(
        {"math": single(40, 100), "gsm": single(80, 100)}, {"math": single(60, 100), "gsm": single(80, 100)}, FAST
    )
    assert decision.promoted
    assert decision.gains == ("math",)
    assert decision.mean_gain == pytest.approx(0.1)
    assert decision.reason.startswith("Promote the candidate: it gains on math (+20.0 points")
    assert [result.test for result in decision.results] == ["McNemar", "McNemar"]


def test_a_gain_that_chance_explains_keeps_the_champion() -> None:
    decision = decide_promotion({"math": single(40, 100)}, {"math": single(43, 100)}, FAST)
    assert decision.decision == "keep"
    assert "no benchmark shows a gain" in decision.reason


def test_the_correction_counts_the_benchmarks() -> None:
    first, second = single(40, 100), single(46, 100)  # six questions gained, none lost: p = 2/64
    assert decide_promotion({"a": first}, {"a": second}, FAST).promoted
    others = {name: single(50, 100) for name in "bcd"}
    corrected = decide_promotion({"a": first, **others}, {"a": second, **others}, FAST)
    assert not corrected.promoted
    assert corrected.results[0].p_value == pytest.approx(1 / 32)
    assert corrected.results[0].adjusted == pytest.approx(4 / 32)


def test_a_loss_beyond_what_is_allowed_blocks_whatever_is_gained() -> None:
    champion = {"math": single(40, 100), "gsm": single(80, 100)}
    candidate = {"math": single(80, 100), "gsm": single(60, 100)}
    blocked = decide_promotion(champion, candidate, FAST)
    assert blocked.losses == ("gsm",)
    assert "loses more than allowed on gsm (-20.0 points" in blocked.reason
    lenient = GateSettings(draws=1000, allowed_losses={"gsm": 0.3})
    assert decide_promotion(champion, candidate, lenient).promoted


def test_a_gain_below_the_least_gain_keeps_the_champion() -> None:
    settings = GateSettings(draws=1000, minimum_gain=0.15)
    decision = decide_promotion(
        {"a": single(40, 100), "b": single(40, 100)}, {"a": single(60, 100), "b": single(40, 100)}, settings
    )
    assert decision.decision == "keep"
    assert "the mean over 2 benchmarks is +10.0 points, below the least gain of +15.0 points" in decision.reason


def test_several_samples_a_question_are_tested_by_sign_flips() -> None:
    champion = verdicts(*[(True, False, False, False)] * 30, *[(True,) * 4] * 30)
    candidate = verdicts(*[(True, True, True, False)] * 30, *[(True,) * 4] * 30)
    decision = decide_promotion({"aime": champion}, {"aime": candidate}, FAST)
    assert decision.promoted
    assert decision.results[0].test == "sign flips"


def test_the_same_model_is_never_promoted_over_itself() -> None:
    scores = {"a": single(40, 100), "b": verdicts(*[(True, False)] * 20)}
    decision = decide_promotion(scores, scores, FAST)
    assert decision.decision == "keep"
    assert all(result.adjusted == 1.0 for result in decision.results)


@pytest.mark.parametrize(
    ("candidate", "told"),
    [
        ({"other": single(1, 10)}, "needs the same benchmarks"),
        ({"math": single(1, 11)}, "1 questions were asked of one model only, such as q10"),
        ({}, "needs the same benchmarks; there are math and none"),
    ],
)
def test_what_cannot_be_paired_is_refused(candidate: dict[str, dict[str, QuestionScore]], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        decide_promotion({"math": single(1, 10)}, candidate, FAST)


@pytest.mark.parametrize(
    "shapes",
    [{"aime": (30, 8), "amc": (40, 1), "math": (200, 1)}, {"some": (10, 4)}, {"few": (6, 4), "fewer": (2, 4)}],
    ids=["usual", "ten questions", "few questions"],
)
def test_without_a_difference_few_candidates_are_promoted(shapes: dict[str, tuple[int, int]]) -> None:
    """Both models draw from one skill; `shapes` are questions and samples of each benchmark."""
    settings = GateSettings(draws=400, allowed_loss=1.0)  # nothing blocks, so that every shown gain promotes
    trials, promoted = 300, 0
    generator = np.random.default_rng(0)
    for trial in range(trials):
        models: list[dict[str, dict[str, QuestionScore]]] = [{}, {}]
        for name, (questions, samples) in shapes.items():
            skill = generator.beta(1, 1, size=(questions, 1))
            for model in models:
                drawn = generator.random((questions, samples)) < skill
                model[name] = verdicts(*(tuple(map(bool, row)) for row in drawn))
        promoted += decide_promotion(models[0], models[1], settings, seed=trial).promoted
    error = math.sqrt(settings.significance * (1 - settings.significance) / trials)
    assert promoted / trials <= settings.significance + 2 * error
