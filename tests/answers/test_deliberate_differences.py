"""Each deliberate difference that docs/answers-and-rewards.md lists, against Math-Verify itself."""

import pytest

from agent0.answers import Verdict
from agent0.answers.math_verify_worker import math_verify_verdict


def math_verify(gold, answer):
    """Return Math-Verify's own verdict."""
    try:
        return Verdict.TRUE if math_verify_verdict(gold, answer) else Verdict.FALSE
    except Exception:  # sympy's failures have no common base
        return Verdict.ERROR


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
        *[
            ("5", answer, Verdict.TRUE, Verdict.FALSE)
            for answer in (r"\neq 5", r"\geq 5", "<= 5", r"\in 5", r"5 \ldots")
        ],
        *[("2516_8", "2516_9", Verdict.TRUE, Verdict.FALSE), ("2516", "2516_8", Verdict.TRUE, Verdict.FALSE)],
        *[(r"\{1,2\}", "(1,2)", Verdict.TRUE, Verdict.FALSE), ("3 pm", "3 am", Verdict.TRUE, Verdict.FALSE)],
        *[(r"\pi r^2 h", r"\pi r^2", Verdict.TRUE, Verdict.FALSE), (r"\frac12ab", "1/2", Verdict.TRUE, Verdict.FALSE)],
        ("0.00000000022", "0.000000000022", Verdict.TRUE, Verdict.FALSE),
        (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", Verdict.TRUE, Verdict.FALSE),
        ("1000000\\pi", "3141592.6536", Verdict.FALSE, Verdict.TRUE),
        *[("-1", "i^2", Verdict.FALSE, Verdict.TRUE), (r"\frac13", r"0.\overline{3}", Verdict.FALSE, Verdict.TRUE)],
        *[("x^2", "x**2", Verdict.FALSE, Verdict.TRUE), (r"2\pi r", "2*pi*r", Verdict.FALSE, Verdict.TRUE)],
        *[("2√3", r"2\sqrt{3}", Verdict.FALSE, Verdict.TRUE), (r"\bm{5}", "5", Verdict.FALSE, Verdict.TRUE)],
        *[("12 m/s", "12", Verdict.FALSE, Verdict.TRUE), ("28 marbles", "28", Verdict.FALSE, Verdict.TRUE)],
        *[("€28", "28", Verdict.FALSE, Verdict.TRUE), ("3:30 p.m.", "3:30 PM", Verdict.FALSE, Verdict.TRUE)],
        *[("3", "log(8, 2)", Verdict.FALSE, Verdict.TRUE), (r"\log_2 5", r"\log(5,2)", Verdict.FALSE, Verdict.TRUE)],
        *[("5", r"5\frac{m}{s}", Verdict.FALSE, Verdict.TRUE), ("2:30 pm", "14:30", Verdict.FALSE, Verdict.TRUE)],
        (r"x<1 \text{ or } x>2", r"(-\infty,1)\cup(2,\infty)", Verdict.FALSE, Verdict.TRUE),
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
