from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.benchmarks.letters import (
    boxed_letter,
    mmlu_pro_chain,
    mmlu_pro_first_step,
    super_gpqa_answer,
    super_gpqa_five_shot,
)
from agent0.benchmarks.spec import LETTERS, Item
from tests.support.reported_cases import reported_cases

ITEM = Item("", "C", ("iron", "copper", "copper wire", "$5$", "(ii)", "Paris"))
READINGS = (mmlu_pro_chain, mmlu_pro_first_step, super_gpqa_answer, super_gpqa_five_shot, boxed_letter)
HOSTILE = (
    "answer:",
    "answer: ",
    "the answers  ",
    "the answer ",
    " ",
    "$",
    "(",
    "\\",
    "\\boxed{",
    "\\text{",
    "A ",
    "\n ",
    "** ",
)


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The answer is (C). Or the answer is (D).", "C"),
        ("The answer is C", "C"),
        ("answer: A then Answer: B\nanswer: C", "B"),
        ("Answer:\n D", "D"),
        ("Answer: Answer: B", "B"),
        ("I would take B over A.", "A"),
        ("a word, ABC, and nothing", None),
        ("", None),
    ],
)
def test_mmlu_pro_reads_in_its_three_steps_and_never_draws(response: str, letter: str | None) -> None:
    assert mmlu_pro_chain(response, ITEM) == letter


def test_the_first_step_alone_reads_less() -> None:
    assert mmlu_pro_first_step("The answer is (C)", ITEM) == "C"
    assert mmlu_pro_first_step("Answer: C", ITEM) is None


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("\\boxed{C}", "C"),
        ("\\boxed{\\text{C}}", "C"),
        ("\\boxed{(C)}", "C"),
        ("\\boxed{c}", "C"),
        ("\\boxed{C. A long chain}", "C"),
        ("\\boxed{copper}", "B"),
        ("\\boxed{A chain}", None),
        ("\\boxed{42}", None),
        ("no box, but the answer is (D)", "D"),
    ],
)
def test_a_boxed_letter_must_be_the_letter_of_an_option(response: str, letter: str | None) -> None:
    assert boxed_letter(response, ITEM) == letter


@pytest.mark.parametrize(
    ("content", "letter"),
    [
        ("\\text{Option C: copper wire}", "C"),
        ("C, because it conducts", "C"),
        ("copper wire (C)", "C"),
        ("copper wire (B)", None),
        ("C copper wire", "C"),
        ("C - copper wire", "C"),
        ("C. E. coli", "C"),
        ("The correct answer is option C", "C"),
        ("The answer is not C", None),
        ("Options A and C", None),
        ("A. iron, B. copper", None),
        ("A, Option C", None),
        ("C-section", None),
        ("C'", None),
        ("(C)^2", None),
        ("f(C)", None),
        ("\\frac{10}{2}", "D"),
        ("\\sqrt{25}", "D"),
        ("\\text{C}\\text{opper}", "B"),
        ("\\textcolor{red}{\\textbf{C}}", "C"),
        ("\\mathbb{C}", None),
        ("J", "J"),
        ("Not (C)", None),
        ("The answer is not (C)", None),
        ("All of the above except (C)", None),
        ("everything but (C)", None),
        ("(C) is incorrect", None),
        ("C: incorrect", None),
        ("C: because it is not magnetic", "C"),
        ("C: copper; also A", None),
        ("A. copper wire", None),
    ],
)
def test_a_box_names_one_letter_or_repeats_one_option(content: str, letter: str | None) -> None:
    assert boxed_letter(f"\\boxed{{{content}}}", ITEM) == letter


@given(
    st.sampled_from("ABCDEF"),
    st.lists(
        st.sampled_from(
            [
                "({})",
                "（{}）",
                "\\text{{{}}}",
                "\\mathbf{{{}}}",
                "${}$",
                "**{}**",
                '"{}"',
                "“{}”",
                "\\left({}\\right)",
                "[{}]",
            ]
        ),
        max_size=4,
    ),
    st.sampled_from(
        ["{}", "Option {}", "\\text{{The answer is }}{}", "Answer: {}", "{}.", "{}. some words", "choice {}"]
    ),
)
def test_what_encloses_a_letter_and_what_leads_to_it_do_not_count(letter: str, layers: list[str], frame: str) -> None:
    content = letter
    for layer in layers:
        content = layer.format(content)
    assert boxed_letter(f"\\boxed{{{frame.format(content)}}}", ITEM) == letter


@given(
    st.lists(st.sampled_from("ABCDEF"), min_size=2, max_size=4, unique=True),
    st.sampled_from([", ", ",", " and ", " or ", "", "/", " & ", "; ", "\\text{ and }", ". "]),
    st.sampled_from(["{}", "({})", "\\text{{{}}}", "Option {}"]),
)
def test_several_letters_are_no_answer(letters: list[str], separator: str, layer: str) -> None:
    content = separator.join(layer.format(letter) for letter in letters)
    assert boxed_letter(f"\\boxed{{{content}}}", ITEM) is None


@given(
    st.sampled_from("ABCDEF"),
    st.sampled_from(["\\cdot V", "/V", "_1", "^2", "+1", "(2)", "-cells", "'", "x", "\\times 3"]),
)
def test_the_first_letter_of_a_formula_or_word_is_none(letter: str, rest: str) -> None:
    box = f"\\boxed{{{letter}{rest}}}"
    assert boxed_letter(box, ITEM) is None
    assert boxed_letter(box, Item("", "", ("iron", f"${letter}{rest}$", "42"))) == "B"


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("\\boxed{42}. So the answer is $\\mathbf{C}$.", "C"),
        ("\\boxed{42}, which is option (C).", "C"),
        ("\\boxed{42}. Maybe (A). So the answer is (C).", "C"),
        ("\\boxed{42}. Option A is wrong.", None),
        ("\\boxed{42}. A nice result, as the answer is Infinite.", None),
        ("The answer is (D), so \\boxed{42}", None),
        ("\\boxed{C}, and not (A).", "C"),
    ],
)
def test_a_box_without_an_option_leaves_what_is_stated_after_it(response: str, letter: str | None) -> None:
    assert boxed_letter(response, ITEM) == letter


def test_what_people_reported_of_letters_is_read_as_they_meant_it() -> None:
    cases = reported_cases("multiple choice")
    read = {case["id"]: boxed_letter(case["input"]["text"], _item(case["input"])) for case in cases}
    assert read == {case["id"]: case["expected"] for case in cases}


def _item(asked: dict[str, Any]) -> Item:
    return Item("", "", tuple(asked.get("options", ("iron", "copper", "zinc", "gold"))))


def test_five_shot_reads_before_the_next_question_first() -> None:
    text = "Answer: B\n\nQuestion: what?\nAnswer: C"
    assert super_gpqa_answer(text, ITEM) == "C"
    assert super_gpqa_five_shot(text, ITEM) == "B"
    assert super_gpqa_five_shot("Hm.\nQuestion: what?\nAnswer: C", ITEM) == "C"


@given(st.text(alphabet="ABCJ answerANSWERisthe:*()${}\\[]\n.boxedtxcopper", max_size=200))
def test_what_is_read_is_a_letter_or_nothing(response: str) -> None:
    for reading in READINGS:
        letter = reading(response, ITEM)
        assert letter is None or letter.upper() in LETTERS


@given(st.sampled_from(LETTERS), st.text(max_size=100))
def test_the_form_that_was_asked_for_is_read_after_any_text(letter: str, before: str) -> None:
    assert super_gpqa_answer(f"{before}\nAnswer: {letter}", ITEM) == letter
    assert boxed_letter(f"{before}\\\n\\boxed{{{letter}}}".replace("\\\n\\b", "\n\\b"), Item("", letter)) == letter


def seconds(reading: Callable[[str, Item], str | None], text: str) -> float:
    before = time.process_time()
    reading(text, ITEM)
    return time.process_time() - before


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.__name__)
def test_twice_the_text_takes_about_twice_the_time(reading: Callable[[str, Item], str | None], unit: str) -> None:
    half = unit * (40_000 // len(unit)) + "~"
    whole = unit * (80_000 // len(unit)) + "~"
    shorter = min(seconds(reading, half) for _ in range(2))
    longer = min(seconds(reading, whole) for _ in range(2))
    assert longer < 3.5 * shorter + 0.05
