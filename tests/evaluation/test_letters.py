from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.evaluation.letters import (
    boxed_letter,
    mmlu_pro_chain,
    mmlu_pro_first_step,
    super_gpqa_answer,
    super_gpqa_five_shot,
)
from agent0.evaluation.spec import LETTERS, Item

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
def test_a_boxed_letter_must_open_the_box(response: str, letter: str | None) -> None:
    assert boxed_letter(response, ITEM) == letter


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
