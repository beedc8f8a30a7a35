from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.domains.arithmetic_grammar import (
    LEVELS,
    ArithmeticWorld,
    Level,
    evaluate,
    expression_of,
    held_out_questions,
    is_held_out,
    random_question,
)

WORLD = ArithmeticWorld()


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 3), st.booleans())
def test_every_drawn_question_is_valid_and_its_answer_exact(seed: int, operands: int, digits: int, held: bool) -> None:
    question = random_question(random.Random(seed), Level(operands, digits), held_out=held)
    assert WORLD.rejection(question) is None
    expression = expression_of(question)
    assert expression is not None
    assert WORLD.known_answer(question) == str(eval(expression, {"__builtins__": {}}))
    assert WORLD.held_out(question) is held


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("Compute 1-9+54.5.3.4.", "grammar"),
        ("What is 3+4? ", "grammar"),
        ("what is 3+4?", "grammar"),
        ("Compute 3.", "grammar"),
        ("Compute import os.", "grammar"),
        ("What is 007+1?", "expression"),
        ("Compute 1**2.", "expression"),
        ("Compute -3+4.", "expression"),
        ("Compute (3)(4).", "expression"),
        ("Compute ((3+4).", "expression"),
        ("Compute 1+-2.", "expression"),
        ("Find the value of 12345+1.", "size"),
        ("Compute 1+1+1+1+1+1+1+1+1.", "size"),
    ],
)
def test_what_the_grammar_rejects_has_no_answer(question: str, reason: str) -> None:
    assert WORLD.rejection(question) == reason
    assert WORLD.known_answer(question) is None


@pytest.mark.parametrize(
    ("question", "level"),
    [
        ("What is 3+4?", "2x1"),
        ("Compute 12+(3*45).", "3x2"),
        ("Compute (1+2)*3-(4+567).", "5x3"),
        ("Compute 1+2+3+4+56.", "5x2"),
        ("What is 1+2+3+4+5+678?", "6x3"),
    ],
)
def test_a_question_is_on_the_topic_of_its_own_level_and_of_no_other(question: str, level: str) -> None:
    names = {*(other.name for other in LEVELS), "5x2", "6x3"}
    assert {name for name in names if WORLD.on_topic(question, name)} == {level}


@given(st.text(max_size=60))
def test_no_text_breaks_the_grammar(text: str) -> None:
    assert (WORLD.rejection(text) is None) == (WORLD.known_answer(text) is not None)
    assert not WORLD.on_topic(text, "5x3") or WORLD.rejection(text) is None


def test_an_expression_is_held_out_in_every_phrasing() -> None:
    assert is_held_out("(12+3)*45")
    assert WORLD.held_out("What is (12+3)*45?")
    assert WORLD.held_out("Compute (12+3)*45.")


def test_held_out_questions_are_distinct_reserved_and_the_same_every_time() -> None:
    drawn = held_out_questions(LEVELS, 40, seed=1)
    flat = [question for level in drawn.values() for question in level]
    assert len(set(flat)) == 40 * len(LEVELS)
    assert all(WORLD.held_out(question) for question in flat)
    assert drawn == held_out_questions(LEVELS, 40, seed=1)
    assert drawn != held_out_questions(LEVELS, 40, seed=2)


@pytest.mark.parametrize("expression", ["", "1", "2**3", "__import__('os')", "1/2", "a+b", "1+"])
def test_evaluating_anything_else_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"expression|parentheses"):
        evaluate(expression)
