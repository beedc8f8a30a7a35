import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.answers import normalise
from agent0.answers.normalisation import exact_rational

PIECES = st.sampled_from(
    [
        *(
            "1",
            "0",
            "7",
            "12",
            ".",
            ",",
            "-",
            "+",
            "/",
            " ",
            "%",
            "$",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            "^",
            "_",
            "=",
            "e",
        ),
        *(r"\frac", r"\dfrac", r"\text{", r"\left", r"\right", r"\!", r"\,", "{,}", r"\boxed{", r"\$", r"\%", r"\pi"),
        *("x", "A", "cm", "−", "π", "½", "２", "北", "\n", "~", "\\", "**", "́"),
    ]
)
LATEX = st.lists(PIECES, max_size=14).map("".join)


@pytest.mark.parametrize(
    ("spellings", "form"),
    [
        (["1000", "1,000", "1{,}000", r"1{,}000", "$1000$", r"\$1,000", "1000.", "1000.00", "+1000", "01000"], "1000"),
        (
            [r"1,\!000", r"1\,000", "1 000", r"\boxed{1000}", r"\(1000\)", "**1000**", "１０００", "1e3", "1E+03"],
            "1000",
        ),
        (["1/2", r"\frac{1}{2}", r"\dfrac12", r"\tfrac{2}{4}", "0.5", ".50", r"\frac 1 2", "5e-01"], "1/2"),
        (["-1/2", r"-\frac{1}{2}", r"\frac{-1}{2}", "-.5", "−0.5"], "-1/2"),
        (["11/2", "5 1/2", r"5\frac{1}{2}", r"5 \frac{1}{2}", "5.5"], "11/2"),
        (["(1,2)", "( 1 , 2 )", r"\left(1,\,2\right)", r"$(1, 2)$"], "(1,2)"),
        (["50%", r"50\%", r"50 \%", r"50\text{%}"], "50%"),
        (["Paris", r"\text{Paris}", r"\textbf{ Paris }", "Paris."], "Paris"),
        (["A", "(A)", r"\text{(A)}", r"\mathrm{A}", "A."], "A"),
        (["0", "-0", "+0.0", "00"], "0"),
        (["", " ", "\n\t", "$$", r"\boxed{ }"], ""),
        (["3:00"], "3:00"),
        (["1/0", r"1/0"], "1/0"),
        (["1,2"], "1,2"),
        (["x y", "x  y"], "x y"),
    ],
)
def test_spellings_of_one_answer_have_one_form(spellings, form):
    assert {spelling: normalise(spelling) for spelling in spellings} == dict.fromkeys(spellings, form)


@pytest.mark.parametrize(
    ("one", "other"),
    [("12", "1 2"), ("xy", "x y"), ("x^2", "x2"), ("1.5", "15"), ("1,5", "1.5"), ("(1,2)", "[1,2]"), ("½", "12")],
)
def test_different_answers_keep_different_forms(one, other):
    assert normalise(one) != normalise(other)


@given(LATEX)
def test_normalising_twice_changes_nothing(text):
    form = normalise(text)
    assert normalise(form) == form


@given(st.text())
def test_any_text_has_a_form_without_outer_blanks(text):
    assert normalise(text) == normalise(text).strip()


@given(st.integers(-(10**30), 10**30))
def test_an_integer_has_one_form_in_every_grouping(value):
    forms = {normalise(form) for form in (str(value), f"{value:,}", f"{value:,}".replace(",", "{,}"), f"${value}.0$")}
    assert forms == {str(value)}


@given(st.fractions(max_denominator=10**9), st.integers(1, 50))
def test_a_fraction_has_one_form_whatever_the_factor(value, factor):
    top, bottom = value.numerator * factor, value.denominator * factor
    assert normalise(f"{top}/{bottom}") == normalise(rf"\frac{{{top}}}{{{bottom}}}") == str(value)
    assert exact_rational(str(value)) == value


def test_integers_beyond_any_float_stay_apart():
    assert normalise("100000000000000000001") != normalise("100000000000000000000")


@pytest.mark.parametrize(
    "text", ["9" * 2**20, "1," * 2**19, "\\" * 2**20, r"\text{" * 2**17, " " * 2**20, "x+" * 2**19, "(" * 2**20]
)
def test_a_megabyte_costs_linear_time(text):
    start = time.process_time()
    normalise(text)
    assert time.process_time() - start < 5


def test_a_megabyte_of_digits_is_compared_as_text():
    digits = "7" * 2**20
    assert normalise("000" + digits) == digits
