"""Numbers agree exactly where both are exact, else by relative error; checked through the grader, workers and all."""

import pytest

from agent0.answers import Verdict


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *[("1/3", "0.333333"), ("1/6", "0.166667"), (r"\sqrt{2}", "1.41421356"), (r"\pi", "3.14159265")],
        *[("0.3", "0.30000000000000004"), ("3", "2.9999999999999996"), (r"100\sqrt{2}", "141.421356")],
        *[(r"\frac{1}{3\cdot10^{8}}", "3.333333e-9"), ("0.9^{51}", "(9/10)^{51}"), ("0.1x+0.2x", "0.3x")],
        *[("(1/2)^{100}", "1/2^{100}"), ("7^{2005}", r"7\cdot7^{2004}"), ("2005!", r"2004!\cdot2005")],
        *[(r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"), ("(1/3, 2)", "(0.333333, 2)"), ("50%", "50"), ("50%", "0.5")],
    ],
)
def test_numbers_that_agree(grader, gold, answer):
    assert grader.equivalent(gold, answer) is Verdict.TRUE


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *[("1/3", "0.333"), (r"\pi", "3.14159"), ("3", "3.0000001"), ("1234567.5", "1234567.6")],
        *[("333333/1000000", "1/3"), ("0", "1e-20"), ("1e-9", "2e-9"), ("1e-9x", "2e-9x"), ("e^{-30}", "e^{-31}")],
        *[("(10^{-9},1)", "(10^{-8},1)"), ("[0,10^{-9}]", "[0,10^{-8}]"), (r"\{1e-9,1\}", r"\{2e-9,1\}")],
        *[("2^{100}", "2^{100}+1"), (r"2^{200}\pi", r"2^{200}\pi+1"), ("0.5^{100}", "(1/2)^{101}"), ("2005!", "2004!")],
        *[(r"\frac{2^{2005}+1}{3\cdot2^{2006}}", r"\frac{1}{3\cdot2^{2006}}"), ("12.5%", "12.5")],
        (r"\begin{pmatrix}10^{-9}\\1\end{pmatrix}", r"\begin{pmatrix}10^{-8}\\1\end{pmatrix}"),
    ],
)
def test_numbers_that_differ(grader, gold, answer):
    assert grader.equivalent(gold, answer) is Verdict.FALSE
