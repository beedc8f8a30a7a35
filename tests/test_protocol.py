from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.config import RolloutSettings
from agent0.protocol import Message, get_prompts, observation_text, parse_question

TOOL_WORDS = re.compile("python|output|program|tool", re.IGNORECASE)


def content(messages: list[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


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
        assert "output" in text
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
