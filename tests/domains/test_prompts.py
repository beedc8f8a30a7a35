from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from agent0.config import PromptMessage, PromptSettings, RolloutSettings
from agent0.domains import Message, domain_names, get_domain, get_prompts
from agent0.errors import UsageError
from agent0.protocol import TOOL_RULES
from agent0.types import Condition

TOOL_WORDS = re.compile("python|program|tool", re.IGNORECASE)


def content(messages: list[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


def with_template(tokenizer: Any, template: str | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tokenizer, "chat_template", template)
    return tokenizer


@pytest.mark.parametrize("name", domain_names())
def test_prompts_place_the_question_even_if_it_holds_braces(name: str) -> None:
    question = "What is $\\frac{1}{2}$ {question} {tool}?"
    assert question in get_prompts(RolloutSettings(domain=name)).solve(question)[-1]["content"]


def test_the_full_prompts_teach_the_protocol_to_both_agents() -> None:
    prompts = get_prompts(RolloutSettings(domain="mathematics"))
    for messages in (prompts.propose(), prompts.solve("x")):
        assert TOOL_RULES in content(messages)
    assert "\\boxed{}" in content(prompts.solve("x"))
    assert "<question>" in content(prompts.propose())


@pytest.mark.parametrize("variant", ["", "paper"])
def test_an_agent_without_the_tool_is_not_told_of_it(variant: str) -> None:
    settings = RolloutSettings(domain="mathematics", proposer_tool=False, prompts=PromptSettings(variant=variant))
    prompts = get_prompts(settings)
    assert not TOOL_WORDS.search(content(prompts.propose()))
    assert TOOL_RULES in content(prompts.solve("x"))
    bare = get_prompts(settings.model_copy(update={"max_turns": 0}))
    assert TOOL_RULES not in content(bare.solve("x"))
    assert "  " not in content(bare.solve("x"))


@pytest.mark.parametrize("name", ["mathematics", "word_problems"])
def test_worked_examples_stand_before_the_task_and_only_where_there_is_the_tool(name: str) -> None:
    shown = RolloutSettings(domain=name, prompts=PromptSettings(worked=True))
    few, many = get_prompts(RolloutSettings(domain=name)).solve("x"), get_prompts(shown).solve("x")
    assert many[-1] == few[-1]
    assert [message["role"] for message in many[len(few) - 1 : -1]] == ["user", "assistant"] * (
        (len(many) - len(few)) // 2
    )
    assert "```python" in content(many)
    without = shown.model_copy(update={"max_turns": 0})
    assert len(get_prompts(without).solve("x")) == len(few)


def test_turns_of_the_configuration_replace_those_of_the_domain() -> None:
    turns = (
        PromptMessage(role="system", content="Kurz. {tool}"),
        PromptMessage(role="user", content="Frage: {question}"),
    )
    settings = RolloutSettings(domain="word_problems", prompts=PromptSettings(executor=turns))
    solve = get_prompts(settings).solve("1+1?")
    assert [message["content"] for message in solve] == ["Kurz. You may run Python.", "Frage: 1+1?"]
    assert get_prompts(settings).propose() != solve


@pytest.mark.parametrize("agent", ["executor", "curriculum"])
def test_turns_of_the_configuration_keep_the_domains_worked_examples(agent: str) -> None:
    prompts = get_domain("mathematics").prompts
    worked = prompts.executor.worked if agent == "executor" else prompts.curriculum.worked
    assert worked
    turns = (PromptMessage(role="system", content="Kurz."), PromptMessage(role="user", content="{question}"))
    settings = PromptSettings.model_validate({agent: turns, "worked": True})
    asked = getattr(get_prompts(RolloutSettings(domain="mathematics", prompts=settings)), agent)
    assert [turn["content"] for turn in asked] == ["Kurz.", *(turn["content"] for turn in worked), "{question}"]


@pytest.mark.parametrize(
    ("content", "without"),
    [
        ("def f(x):\n    return x  # two\n{tool} {question}", "def f(x):\n    return x  # two\n {question}"),
        ("  Ask. {tool} Now: {question}", "Ask. Now: {question}"),
        ("{tool} {question}", "{question}"),
    ],
)
def test_only_the_space_before_the_rules_goes_with_them(content: str, without: str) -> None:
    turns = (PromptMessage(role="user", content=content),)
    told = RolloutSettings(domain="word_problems", prompts=PromptSettings(executor=turns))
    assert get_prompts(told).executor[0]["content"] == content.replace("{tool}", "You may run Python.")
    assert get_prompts(told.model_copy(update={"max_turns": 0})).executor[0]["content"] == without


def test_a_prompt_that_never_asks_the_question_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"no \{question\}"):
        PromptSettings(executor=(PromptMessage(role="user", content="Solve it."),))


def test_an_unknown_variant_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'papre'.*it has paper"):
        get_prompts(RolloutSettings(domain="mathematics", prompts=PromptSettings(variant="papre")))


def test_a_tokenizer_without_a_chat_template_gets_plain_text(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = with_template(tokenizer, None, monkeypatch)
    prompts = get_prompts(RolloutSettings(domain="word_problems"))
    text = prompts.render(bare, prompts.solve("What is 2+3?"))
    assert text == "Solve the problem. You may run Python.\n\nUser: What is 2+3?\n\nAssistant:"
    own = RolloutSettings(domain="word_problems", prompts=PromptSettings(plain="Q {{ messages[-1]['content'] }} A"))
    with pytest.raises(UsageError, match="leaves out the user's turn"):  # it drops the system's, even when merged
        get_prompts(RolloutSettings(prompts=PromptSettings(plain="Q"))).render(bare, prompts.solve("x"))
    assert get_prompts(own).render(bare, prompts.solve("x")).startswith("Q Solve the problem.")


REFUSING = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] | trim }}{% endfor %}"
)
DROPPING = (
    "{% for m in messages %}{% if m['role'] != 'system' %}<{{ m['role'] }}>{{ m['content'] }}{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("template", [REFUSING, DROPPING])
def test_a_template_without_a_system_role_gets_its_text_in_the_first_user_turn(
    template: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = get_prompts(RolloutSettings(domain="word_problems"))
    text = prompts.render(with_template(tokenizer, template, monkeypatch), prompts.solve("2+3?"))
    assert text == "<user>Solve the problem. You may run Python.\n\n2+3?"


@pytest.mark.parametrize("template", ["{{ raise_exception('never') }}", "{{ messages[0]", "{{ nothing.here }}"])
def test_a_template_that_cannot_be_rendered_is_a_sentence(
    template: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = get_prompts(RolloutSettings(domain="word_problems"))
    with pytest.raises(UsageError, match="cannot render the prompt"):
        prompts.render(with_template(tokenizer, template, monkeypatch), prompts.solve("x"))


def test_options_reach_the_template(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{{ messages[-1]['content'] }}{% if not enable_thinking %}<think></think>{% endif %}"
    settings = PromptSettings(template_options={"enable_thinking": False})
    prompts = get_prompts(RolloutSettings(prompts=settings))
    assert (
        prompts.render(with_template(tokenizer, template, monkeypatch), prompts.propose()) == "propose<think></think>"
    )


THINKING = (
    "{% if effort is not defined %}{% set effort = 'high' %}{% endif %}{{ bos_token }}{{ effort }}"
    "{{ messages[-1]['content'] }}{% if add_generation_prompt and not enable_thinking %}<think></think>{% endif %}"
)


@pytest.mark.parametrize("name", ["enable_thinkng", "max_length", "return_dict", "add_generation_prompt"])
def test_an_option_that_the_template_does_not_read_is_refused_with_those_it_reads(
    name: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinking = with_template(tokenizer, THINKING, monkeypatch)
    for option in ("enable_thinking", "effort"):
        prompts = get_prompts(RolloutSettings(prompts=PromptSettings(template_options={option: False})))
        assert prompts.encode(thinking, prompts.propose())
    prompts = get_prompts(RolloutSettings(prompts=PromptSettings(template_options={name: False})))
    with pytest.raises(
        UsageError, match=rf"read the option '{name}'.* it reads: bos_token, effort, enable_thinking\.$"
    ):
        prompts.render(thinking, prompts.propose())
    with pytest.raises(UsageError, match=r"it reads: bos_token\.$"):
        prompts.render(with_template(tokenizer, None, monkeypatch), prompts.propose())


def test_what_a_template_says_in_several_lines_is_one_sentence(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = get_prompts(RolloutSettings(domain="word_problems"))
    refusing = with_template(tokenizer, "{{ raise_exception('No.\\nNever.') }}", monkeypatch)
    with pytest.raises(UsageError, match=r"cannot render the prompt: No\. Never\. Change"):
        prompts.render(refusing, prompts.solve("x"))


@pytest.mark.parametrize(
    "plain", ["{{ messages | nofilter }}", "{{ raise_exception('No filter named \\'nofilter\\'...') }}"]
)
def test_a_reason_of_a_template_keeps_its_full_stop_to_itself(
    plain: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = get_prompts(RolloutSettings(prompts=PromptSettings(plain=plain)))
    with pytest.raises(UsageError, match=r"cannot render the prompt: No filter named 'nofilter'\. Change the prompts"):
        prompts.render(with_template(tokenizer, None, monkeypatch), prompts.solve("x"))


@pytest.mark.parametrize(
    ("name", "variant"), [("mathematics", ""), ("mathematics", "paper"), ("word_problems", ""), ("programs", "")]
)
def test_a_proposal_is_asked_for_a_topic_and_by_examples(name: str, variant: str) -> None:
    prompts = get_prompts(RolloutSettings(domain=name, prompts=PromptSettings(variant=variant)))
    free, topic = prompts.propose(), get_domain(name).topics[0]
    asked = prompts.propose(Condition(topic=topic, examples=("What is {topic}?", "Two\nlines.")))
    assert asked[:-1] == free[:-1]
    assert asked[-1]["content"].startswith(free[-1]["content"])
    assert topic in asked[-1]["content"]
    assert asked[-1]["content"].endswith("\n- What is {topic}?\n- Two\n  lines.")
    assert prompts.propose(Condition()) == free


def test_own_prompts_are_asked_for_topics_as_the_domains_are() -> None:
    own = PromptSettings(curriculum=(PromptMessage(role="user", content="Ask."),))
    prompts = get_prompts(RolloutSettings(domain="word_problems", prompts=own))
    assert prompts.propose(Condition(topic="travel")) == [{"role": "user", "content": "Ask. Its kind is travel."}]


def test_as_many_examples_are_shown_as_the_prompt_has_room_for(tokenizer: Any) -> None:
    prompts = get_prompts(RolloutSettings(domain="word_problems"))
    whole = Condition(topic="travel", examples=("What is 1+1?", "What is 2+2?", "What is 3+3?"))
    two = whole.model_copy(update={"examples": whole.examples[:2]})
    room = len(prompts.encode(tokenizer, prompts.propose(two)))
    assert prompts.fitted(tokenizer, whole, 10_000) == whole
    assert prompts.fitted(tokenizer, whole, room) == two
    assert prompts.fitted(tokenizer, whole, 1) == Condition(topic="travel")
