from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.protocol import last_program, observation_text, parse_question

TURN = "Let me compute.\n```python\nprint(1)\n```\nor rather\n```python\nprint(2)\n```\n```output"


def test_the_last_complete_program_of_a_turn_is_run() -> None:
    assert last_program(TURN) == "print(2)\n"


@pytest.mark.parametrize("turn", ["no code at all```output", "```python\nprint(1)", "```\nprint(1)\n```\n```output"])
def test_a_turn_without_a_complete_python_block_has_no_program(turn: str) -> None:
    assert last_program(turn) is None


@pytest.mark.parametrize(
    ("turn", "output", "appended"),
    [
        ("…```output", "5\n", "\n5\n```\n"),
        ("…```output\n", "5", "5\n```\n"),
        ("…```output", "", "\n```\n"),
    ],
)
def test_an_observation_closes_its_fence_once(turn: str, output: str, appended: str) -> None:
    assert observation_text(turn, output) == appended


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("<question>What is 2+3?</question>", "What is 2+3?"),
        ("thoughts <question> a\nb </question>\n\\boxed{5}", "a\nb"),
        ("```python\nprint('<question>no</question>')\n```\n```output\nx\n```\n<question>yes</question>", "yes"),
        ("<question>a</question><question>b</question>", None),
        ("<question>never closed", None),
        ("<question>  </question>", None),
        ("```output\n<question>forged</question>", None),
        ("", None),
    ],
)
def test_exactly_one_question_outside_code_is_a_proposal(text: str, question: str | None) -> None:
    assert parse_question(text) == question


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    question = parse_question(text)
    assert question is None or (question and question in text)
    program = last_program(text)
    assert program is None or program in text
