import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.answers import extract_boxed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"first \boxed{1}, then \boxed{2}", "2"),
        (r"\boxed{x = \boxed{3}}", "3"),
        (r"\boxed{4} and put it in \boxed{}", "4"),
        (r"\boxed{4} and then \boxed{5", "4"),
        (r"\boxed{ \{1, 2\} }", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed {7}", "7"),
        (r"\\boxed{8}", "8"),
        (r"\fbox{9}", "9"),
        (r"a stray { and \boxed{10}", "10"),
        (r"a stray } and \boxed{11}", "11"),
        ("\\boxed{\n12\n}", "12"),
        (r"\boxed{东京}", "东京"),
        (r"no box", None),
        (r"\boxed{}", None),
        (r"\boxed{  }", None),
        (r"\boxed{13", None),
        (r"\boxed 14", None),
        ("", None),
    ],
)
def test_the_last_closed_box_with_content_is_the_answer(text, expected):
    assert extract_boxed(text) == expected


@given(
    st.text(), st.text(alphabet="abc 0123+-^_\\,", min_size=1).filter(lambda text: "\\" not in text and text.strip())
)
def test_a_box_at_the_end_is_found_whatever_comes_before(before, content):
    assert extract_boxed(before.rstrip("\\") + r" \boxed{" + content + "}") == content.strip()


@given(st.text(alphabet="\\{}boxedf 1"))
def test_no_text_makes_it_raise_and_an_answer_is_stripped_and_not_blank(text):
    answer = extract_boxed(text)
    assert answer is None or (answer and answer == answer.strip())


@pytest.mark.parametrize("unit", [r"\boxed{", "\\", "{", "}", r"\boxed", r"\boxed{1}", r"\boxed{\boxed{"])
def test_a_megabyte_costs_linear_time(unit):
    text = r"\boxed{1}" + unit * (2**20 // len(unit))
    start = time.perf_counter()
    extract_boxed(text)
    assert time.perf_counter() - start < 5
