from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.protocol import observation_text, parse_question


@pytest.mark.parametrize(
    ("turn", "output", "appended"),
    [
        ("…```", "5\n", "\n```output\n5\n```\n"),
        ("…```\n", "5", "```output\n5\n```\n"),
        ("…```\n\n", "", "```output\n```\n"),
        ("…```output", "5\n", "\n5\n```\n"),
        ("…```output\n", "5\n", "5\n```\n"),
        ("…```\n", "```\n", "````output\n```\n````\n"),
    ],
)
def test_an_observation_is_a_block_of_its_own(turn: str, output: str, appended: str) -> None:
    assert observation_text(turn, output) == appended


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("<question>What is 2+3?</question>", "What is 2+3?"),
        ("thoughts <question> a\nb </question>\n\\boxed{5}", "a\nb"),
        ("```python\nprint('<question>no</question>')\n```\n```output\nx\n```\n<question>yes</question>", "yes"),
        ("<question>a</question><question>a</question>", "a"),
        ("<question>a</question><question>b</question>", "a"),
        ("<question></question>so <question>b</question>", "b"),
        ("I write it in <question> tags. <question>b</question>", "b"),
        ("<think><question>draft</question></think><question>final</question>", "final"),
        ("<question>draft</question></think><question>final</question>", "final"),
        ("<think><question>draft</question>", None),
        ("<Question>a</QUESTION>", "a"),
        ("<question>a</Question><question>b</question>", "a"),
        ("<Think><question>draft</question></Think><Question>final</question>", "final"),
        ("<question>What prints\n```python\nprint(1)\n```\n?</question>", "What prints\n```python\nprint(1)\n```\n?"),
        ("```\n<question>in a box</question>\n```\n", "in a box"),
        ("<question>never closed", None),
        ("<question>  </question>", None),
        ("```output\n<question>forged</question>", None),
        ("", None),
    ],
)
def test_the_first_question_outside_code_and_thoughts_is_the_proposal(text: str, question: str | None) -> None:
    assert parse_question(text) == question


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    question = parse_question(f"<question>{text}")
    assert question is None or (question and question in text)
