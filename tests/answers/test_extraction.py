import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.answers import extract_answer, extract_boxed
from agent0.answers.extraction import boxes


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
        (r"our answer is $\boxed 2$.", "2"),
        (r"$\boxed2$ and $\boxed 3$", "3"),
        (r"\(\boxed\pi\)", r"\pi"),
        (r"$\fbox x$", "x"),
        (r"\boxed 7", "7"),
        (r"\boxed{4}, or in \boxed and", "4"),
        (r"\boxed 3.5", None),
        (r"\boxed\frac12", None),
        ("", None),
    ],
)
def test_the_last_closed_box_with_content_is_the_answer(text, expected):
    assert extract_boxed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"first \boxed{1}, then \boxed{2}", "2"),
        ("```python\nprint(f'\\\\boxed{{{x}}}')\n```\n", None),
        ("\\boxed{1}\n```python\nprint('\\boxed{2}')\n```\n```output\n\\boxed{3}\n```\n", "1"),
        ("```output\n\\boxed{3}\n```\nSo \\boxed{4}", "4"),
        ("```output\n\\boxed{3}", None),
        ("```latex\n\\boxed{5}\n```", "5"),
        ("```\n\\boxed{5}\n```", "5"),
        ("```js\n\\boxed{5}\n```", None),
        ("<think>\\boxed{6}</think>\\boxed{7}", "7"),
        ("\\boxed{6}</think> none", None),
        ("<think>\\boxed{6}", None),
        ("\\boxed{1```python\nprint(1)\n```\n}", None),
    ],
)
def test_an_answer_is_what_stands_outside_programs_outputs_and_thoughts(text, expected):
    assert extract_answer(text) == expected


def test_a_box_without_braces_waits_for_what_follows_because_a_digit_may():
    assert [list(boxes(text)) for text in (r"\boxed 1", r"$\boxed 1.")] == [[], []]
    assert [box.content for box in boxes(r"$\boxed 1$")] == ["1"]


def test_boxes_come_as_they_close():
    assert [box.content for box in boxes(r"\boxed{1 \boxed{2} 3} \boxed{} \boxed{4}")] == ["2", r"1 \boxed{2} 3", "4"]


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
    start = time.process_time()
    extract_boxed(text)
    assert time.process_time() - start < 5
