from __future__ import annotations

import pytest

from agent0.answers import default_grader
from agent0.answers.refusal import refused, tenable


def test_an_answer_is_tenable_while_enough_samples_gave_it_in_whatever_form() -> None:
    answers = ["5", "5", "5.0", "7", "7", "8", None, None, None, None]
    assert tenable(answers, 0.1, default_grader()) == ("5", "5.0", "7")
    assert tenable(answers, 0.2, default_grader()) == ("5", "5.0")
    assert tenable(answers, 0.3, default_grader()) == ()
    assert tenable([None, None], 0.1, default_grader()) == ()


@pytest.mark.parametrize(
    ("answer", "held", "expected"),
    [
        ("5", ("5", "7"), False),
        ("7.0", ("5", "7"), False),
        ("8", ("5", "7"), True),
        ("8", (), True),
        (None, ("5",), False),
        (None, (), False),
    ],
)
def test_an_answer_is_refused_where_it_is_none_of_the_tenable(
    answer: str | None, held: tuple[str, ...], expected: bool
) -> None:
    assert refused([(None, ("1",)), (answer, held), ("1", ("1",))], default_grader()) == [False, expected, False]
