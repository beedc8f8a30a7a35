from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.config import RolloutSettings
from agent0.protocol import STOP, Message, get_prompts, last_program, observation_text, parse_question

TOOL_WORDS = re.compile("python|output|program|tool", re.IGNORECASE)
TURN = "Let me compute.\n```python\nprint(1)\n```\nor rather\n```python\nprint(2)\n```\n```output"


def content(messages: list[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


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


@pytest.mark.parametrize("name", ["tiny", "mathematics"])
def test_prompts_place_the_question_even_if_it_holds_braces(name: str) -> None:
    question = "What is $\\frac{1}{2}$ {question}?"
    prompts = get_prompts(RolloutSettings(prompts=name))  # type: ignore[arg-type]
    assert question in prompts.solve(question)[-1]["content"]


def test_the_full_prompts_teach_the_protocol_to_both_agents() -> None:
    prompts = get_prompts(RolloutSettings(prompts="mathematics"))
    for messages in (prompts.propose(), prompts.solve("x")):
        text = content(messages)
        assert "```python" in text
        assert STOP in text
        assert "\\boxed{}" in text


def test_a_proposer_without_the_tool_is_not_told_of_it_and_the_executor_still_is() -> None:
    prompts = get_prompts(RolloutSettings(prompts="mathematics", proposer_tool=False))
    assert not TOOL_WORDS.search(content(prompts.propose()))
    assert prompts.solve("x") == get_prompts(RolloutSettings(prompts="mathematics")).solve("x")


def test_where_no_agent_has_the_tool_no_prompt_mentions_it() -> None:
    prompts = get_prompts(RolloutSettings(prompts="mathematics", max_turns=0))
    for messages in (prompts.propose(), prompts.solve("x")):
        assert not TOOL_WORDS.search(content(messages))
        assert "computer" not in content(messages)
        assert "\\boxed{}" in content(messages)
    assert "<question>" in content(prompts.propose())


def test_prompts_without_the_tool_are_the_others_less_its_rules() -> None:
    told = content(get_prompts(RolloutSettings(prompts="mathematics")).propose())
    untold = content(get_prompts(RolloutSettings(prompts="mathematics", proposer_tool=False)).propose())
    assert set(untold.split()) < set(told.split())
    assert "  " not in untold
