from __future__ import annotations

import pytest

from agent0.evaluation.question_judge import agreement, question_messages, read_posed, spoiled


def test_the_judge_sees_the_question_and_nothing_else() -> None:
    system, user = question_messages("What is 2+3?")
    assert user == {"role": "user", "content": "<question>\nWhat is 2+3?\n</question>"}
    assert "WELL_POSED or ILL_POSED" in system["content"]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("WELL_POSED", True),
        ("It lacks a number.\n**ILL_POSED**", False),
        ("Not WELL_POSED, so:\nILL_POSED.", False),
        ("well posed", None),
        ("", None),
    ],
)
def test_the_last_verdict_of_a_reply_counts(reply: str, verdict: bool | None) -> None:
    assert read_posed(reply) is verdict


def test_a_question_is_spoiled_by_taking_out_its_last_number() -> None:
    assert (
        spoiled("Mia has 14 boxes with 6.5 kg each. How many kg?") == "Mia has 14 boxes with some kg each. How many kg?"
    )
    assert spoiled("What is love?") is None


def test_agreement_counts_both_kinds_of_probes_half_and_no_silence() -> None:
    assert agreement([True, True, True, None], [False, True]) == pytest.approx(0.75)
    assert agreement([True] * 4, [True] * 4) == 0.5  # a judge that always says yes
    assert agreement([None], [False]) is None
    assert agreement([], []) is None
