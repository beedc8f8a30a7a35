"""What Math-Verify drops in silence must agree on both sides, and where it does, Math-Verify may look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.answers import Verdict, normalise
from agent0.answers.exact_rules import decide

VALUES = st.sampled_from(["5", "-3", "1/2", r"\sqrt{5}", r"2\pi", "x+1", "1.5e8"])
RELATIONS = [
    "<",
    ">",
    "<=",
    ">=",
    "!=",
    "≤",
    "≥",
    "≠",
    r"\neq ",
    r"\ne ",
    r"\leq ",
    r"\ge ",
    r"\not= ",
    r"\lt ",
    r"\in ",
    r"\notin ",
]


@given(VALUES, st.sampled_from(RELATIONS), st.sampled_from(["", "y", "y "]))
def test_a_relation_is_never_its_right_hand_side(value, sign, left):
    relation = normalise(f"{left if 'in' not in sign else ''}{sign}{value}")
    assert decide(normalise(value), relation) is False
    assert decide(relation, normalise(value)) is False


@given(VALUES, st.sampled_from(["...", "…", r" \ldots", r"\dots", r", \cdots"]))
def test_a_sequence_that_is_cut_off_is_not_its_first_term(value, dots):
    assert decide(normalise(value), normalise(value + dots)) is False


@given(st.integers(10, 9999), st.integers(11, 16), st.integers(11, 16))
def test_numbers_of_different_bases_differ(digits, base, other):
    forms = [normalise(f"{digits}_{{{base}}}"), normalise(f"({digits})_{{{other}}}")]
    assert decide(*forms) is (base == other)
    assert decide(str(digits), forms[0]) is False


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=4, unique=True))
def test_a_set_is_no_tuple(items):
    inside = ",".join(map(str, items))
    assert decide(normalise(rf"\{{{inside}\}}"), normalise(f"({inside})")) is False


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        *[(r"\geq 5", r"x \geq 5", Verdict.TRUE), ("x>5", "5<x", Verdict.TRUE), (r"\neq 5", r"\geq 5", Verdict.FALSE)],
        *[("x>3", r"(3,\infty)", Verdict.TRUE), (r"\pm 5", "5,-5", Verdict.TRUE), (r"\pm 5", "5", Verdict.FALSE)],
        *[(r"\{1,2\}", "2,1", Verdict.TRUE), ("(1,2)", "1,2", Verdict.TRUE), ("2516_8", "2516", Verdict.TRUE)],
        *[("x<1 or x>2", "x>2 or x<1", Verdict.TRUE), ("x<1 or x>2", r"(-\infty,1]\cup(2,\infty)", Verdict.FALSE)],
        *[("0<x<1 or 2<=x", r"(0,1)\cup[2,\infty)", Verdict.TRUE), ("x=1 or x=2", r"\{1,2\}", Verdict.TRUE)],
        *[(r"\frac{1}{2}bh", r"\frac{bh}{2}", Verdict.TRUE), (r"\frac12ab", r"\frac12", Verdict.FALSE)],
    ],
)
def test_where_both_have_the_mark_the_meaning_decides(grader, gold, answer, verdict):
    assert grader.equivalent(gold, answer) is verdict
