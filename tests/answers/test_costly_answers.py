import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.answers.costly_answers import refusal


@pytest.mark.parametrize(
    "answer",
    [
        *("10^{10^{10}}", "7^{7^{7}}", "9^9^9", "2**10**10", "2^{1000000000}", "((9^{99})^{99})^{99}", "10^{-10^{10}}"),
        *("1000000!", "(10!)!", "5!!!", "10^{300}!", r"\binom{10^9}{5\cdot10^8}", r"\sum_{k=1}^{10^9} k"),
        *(
            "(1/2)^{10001}",
            "(123456/654321)^{1000}",
            "(x+1)^{1000}",
            "(2005!)!",
            "(9^{9999})^{9}",
            "1000000000000000000001!",
        ),
        *(r"\prod_{k=1}^{10000000} k", "(x+y+z)^{60}", "x^{1000000}", "(" * 100 + "1" + ")" * 100, "1" * 301),
        *("__import__('os')", r"\frac{1}{2", "1}", "{" * 5),
    ],
)
def test_costly_or_broken_answers_are_refused_with_a_reason(answer):
    assert refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "2^{10}",
            "2^{3^2}",
            "e^{x^2}",
            "e^{-x^2/2}",
            "x^{2024}",
            "10^{100}",
            "5!",
            "(x+1)^{12}",
            r"\{1,2)",
            "10^{-9}",
        ),
        *(r"\left(\frac{1}{2}\right)^{100}", r"(9/10)^{51}", r"\frac{2005!}{2^{2005}}", "7^{2005}", "(364/365)^{365}"),
        *("(x+1)^{100}", r"(1+\sqrt{5})^{100}", "0.5^{100}", "3**1000", "(1+x+x^2+x^3)^{12}"),
        *(r"\sum_{k=1}^{100} k", r"\binom{50}{25}", r"\left(\frac{1}{2}\right)^{10}", "2^{n+1}", "a_{1}^{2}", ""),
    ],
)
def test_ordinary_answers_pass(answer):
    assert refusal(answer) is None


@pytest.mark.parametrize("unit", ["9^9999+", "9^999*", "9^{99}*", "(9^9)^9+", "9^9!", "(-1+1)^9999", "(x+1)^99"])
def test_many_large_powers_are_weighed_at_once(unit):
    start = time.process_time()
    refusal((unit * 300)[:300])
    assert time.process_time() - start < 0.5


@given(st.text(alphabet="0123456789^*{}()!\\ x+-", max_size=300))
def test_the_guard_itself_is_quick_on_anything(answer):
    start = time.process_time()
    refusal(answer)
    assert time.process_time() - start < 0.5
