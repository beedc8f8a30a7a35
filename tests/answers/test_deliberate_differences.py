"""Each deliberate difference that docs/answers-and-rewards.md lists, against Math-Verify itself."""

import pytest

from agent0.answers import Grader, Verdict
from agent0.answers.worker import math_verify_verdict


def math_verify(gold, answer):
    """Return Math-Verify's own verdict."""
    try:
        return Verdict.TRUE if math_verify_verdict(gold, answer) else Verdict.FALSE
    except Exception:  # sympy's failures have no common base
        return Verdict.ERROR


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=1, seconds=20) as shared:
        yield shared


@pytest.mark.parametrize(
    ("gold", "answer", "theirs", "ours"),
    [
        ("12.", "12", Verdict.FALSE, Verdict.TRUE),
        ("1 000", "1000", Verdict.FALSE, Verdict.TRUE),
        (r"1\,000", "1000", Verdict.FALSE, Verdict.TRUE),
        ("5 1/2", "11/2", Verdict.FALSE, Verdict.TRUE),
        ("5 1/2", "3", Verdict.TRUE, Verdict.FALSE),
        ("1e5", "100000", Verdict.FALSE, Verdict.TRUE),
        (r"12.5\text{%}", "12.5%", Verdict.FALSE, Verdict.TRUE),
        ("listen", "silent", Verdict.TRUE, Verdict.FALSE),
        ("BCA", "ABC", Verdict.TRUE, Verdict.FALSE),
        ("True", "true", Verdict.FALSE, Verdict.TRUE),
        ("north", r"\text{north}", Verdict.FALSE, Verdict.TRUE),
        ("５", "5", Verdict.FALSE, Verdict.TRUE),
        ("1/0", "1/0", Verdict.ERROR, Verdict.TRUE),
        ("3:00", "3:00", Verdict.ERROR, Verdict.TRUE),
    ],
)
def test_the_grader_differs_from_math_verify_on_purpose(grader, gold, answer, theirs, ours):
    assert math_verify(gold, answer) is theirs
    assert grader.equivalent(gold, answer) is ours


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        *[("xy", "yx", Verdict.TRUE), ("12 cm", "12", Verdict.TRUE), ("12 cm", "12 kg", Verdict.TRUE)],
        *[("50%", "0.5", Verdict.TRUE), ("50%", "50", Verdict.TRUE), ("12.5%", "12.5", Verdict.FALSE)],
        *[
            ("5\\frac{1}{2}", "11/2", Verdict.TRUE),
            ("1/3", "0.333333", Verdict.TRUE),
            ("3", "3.0000001", Verdict.FALSE),
        ],
        *[("0<x<1", "(0,1)", Verdict.TRUE), ("(0,1)", "0<x<1", Verdict.FALSE), ("1,2", "(1,2)", Verdict.TRUE)],
    ],
)
def test_elsewhere_they_agree(grader, gold, answer, verdict):
    assert math_verify(gold, answer) is verdict
    assert grader.equivalent(gold, answer) is verdict
