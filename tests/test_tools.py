"""Tools beside Python: called by blocks of their own, told of in prompts, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from given_plugins import Give
from hypothesis import given
from hypothesis import strategies as st

from agent0.config import RolloutSettings, load_config
from agent0.domains import AgentPrompt, Domain, PromptSet, get_prompts
from agent0.errors import Agent0Error, UsageError
from agent0.protocol import TOOL_RULES
from agent0.rollout import RolloutEngine, TokenBudget
from agent0.rollout.scripted import ScriptedBackend
from agent0.segments import segments
from agent0.tools import PYTHON, Tool, ToolOutput, get_tools
from agent0.tracking.traces import split_turns, trajectory_trace
from agent0.types import ToolCall, Trajectory

CALC = "```calc\n12*34\n```\n"
PROGRAM = "```python\nprint(12*34)\n```\n"


async def calculate(text: str, sandbox: Any) -> ToolOutput:
    return ToolOutput.of(await sandbox.arun(f"print({text})"))


async def search(text: str, sandbox: Any) -> ToolOutput:
    return ToolOutput("Nothing is noted.", "not_found")


CALCULATOR = Tool("calc", "Write ```calc for sums.", calculate)
NOTES = Tool("notes", "Write ```notes to look something up.", search)


def roll(tokenizer: Any, sandbox: Any, write: Callable[[str], str], *tools: Tool, turns: int = 3) -> Trajectory:
    budget = TokenBudget(prompt=64, response=200, observation=48, turns=turns, ends_at="answer", tools=tools)
    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, write), sandbox, budget)
    (trajectory,) = engine.run([tokenizer("solve", add_special_tokens=False).input_ids], 0)
    return trajectory


def in_order(*turns: str) -> Callable[[str], str]:
    return lambda text: turns[min(text.count("```output"), len(turns) - 1)]


@pytest.mark.parametrize("label", ["calc", "Calc", "CALC"])
def test_a_block_calls_the_tool_of_its_label(label: str, tokenizer: Any, sandbox: Any) -> None:
    call = CALC.replace("calc", label)
    write = in_order(call, PROGRAM, "```notes\nsums\n```\n", "\\boxed{408}")
    drawn = roll(tokenizer, sandbox, write, PYTHON, CALCULATOR, NOTES)
    assert drawn.answer == "408"
    assert [(known.tool, known.code, known.observation, known.status) for known in drawn.tool_calls] == [
        ("calc", "12*34", "408\n", "ok"),
        ("python", "print(12*34)\n", "408\n", "ok"),
        ("notes", "sums", "Nothing is noted.", "not_found"),
    ]
    shown = tokenizer.decode([t for t, drawn_by in zip(drawn.completion_ids, drawn.mask, strict=True) if not drawn_by])
    assert shown == "```output\n408\n```\n" * 2 + "```output\nNothing is noted.\n```\n"


def test_a_tool_that_an_agent_does_not_have_is_not_called(tokenizer: Any, sandbox: Any) -> None:
    drawn = roll(tokenizer, sandbox, lambda _: f"{CALC}{PROGRAM}\\boxed{{408}}", NOTES)
    assert drawn.tool_calls == ()
    assert drawn.answer == "408"
    assert roll(tokenizer, sandbox, lambda _: f"{CALC}\\boxed{{1}}", CALCULATOR, turns=0).tool_calls == ()


def test_what_the_model_does_wrong_is_shown_and_what_a_tool_does_wrong_ends_the_run(
    tokenizer: Any, sandbox: Any
) -> None:
    bad = in_order("```calc\n1/0\n```\n", "```calc\n```\n", "\\boxed{1}")
    drawn = roll(tokenizer, sandbox, bad, CALCULATOR)
    assert [(call.status, call.observation) for call in drawn.tool_calls] == [
        ("error", "ZeroDivisionError: division by zero"),
        ("no_code", "Error: the block holds no program."),
    ]

    async def broken(text: str, sandbox: Any) -> ToolOutput:
        raise KeyError("MY_NOTES")

    with pytest.raises(Agent0Error, match=r"^The tool notes failed \(KeyError: 'MY_NOTES'\); correct it"):
        roll(tokenizer, sandbox, lambda _: "```notes\nsums\n```\n", Tool("notes", "", broken))


def test_turns_are_told_apart_by_the_tools_that_were_called() -> None:
    text = f"First.\n{CALC}```output\n408\n```\nSo\n```json\n1\n```\n```output\n2\n```\n\\boxed{{408}}"
    call = ToolCall(tool="calc", code="12*34", observation="408", status="ok")
    assert split_turns(text, [call]) == [f"First.\n{CALC}".removesuffix("\n"), text.split("```output\n408\n```\n")[1]]
    drawn = Trajectory(prompt_ids=(), completion_ids=(), mask=(), text=text, finish="eos", tool_calls=(call,))
    assert [step["name"] for step in trajectory_trace("key", "q", drawn, {}, {})["steps"]] == [
        "turn 1",
        "calc",
        "turn 2",
    ]


def test_prompts_tell_of_the_tools_that_there_are_and_of_none_without_turns(give: Give) -> None:
    ask = AgentPrompt(({"role": "user", "content": "{question} {tool}"},))
    own = Domain(PromptSet(ask, ask, tool="Run Python."), lambda question: None)
    plain = Domain(PromptSet(ask, ask), lambda question: None)
    give(("agent0.tools", "calculator", "their_package:CALC"), CALC=CALCULATOR, NOTES=NOTES, OWN=own, PLAIN=plain)

    def told(**changes: Any) -> str:
        settings = RolloutSettings(**{"domain": "their_package:OWN", **changes})
        return get_prompts(settings).solve("Q?")[0]["content"]

    assert told() == "Q? Run Python."
    assert told(tools=("python", "calculator")) == "Q? Run Python. Write ```calc for sums."
    assert told(tools=("their_package:NOTES",)) == "Q? Write ```notes to look something up."
    assert told(domain="their_package:PLAIN") == f"Q? {TOOL_RULES}"
    assert told(max_turns=0) == "Q?"


def test_two_tools_of_one_block_and_a_label_that_calls_nothing_are_refused(give: Give) -> None:
    again = Tool("calc", "", calculate)
    give(("agent0.tools", "a", "their_package:A"), ("agent0.tools", "b", "their_package:B"), A=CALCULATOR, B=again)
    with pytest.raises(UsageError, match="The tools a and b are called by the same block, 'calc'"):
        get_tools(("python", "a", "b"))
    for label in ("", "two words", "Calc", "output", "py", "latex", "{calc", "a\nb"):
        with pytest.raises(UsageError, match="No block labelled"):
            Tool(label, "", calculate)


def test_a_package_may_run_python_elsewhere(give: Give, tokenizer: Any, sandbox: Any) -> None:
    elsewhere = Tool("python", "Run Python elsewhere.", search)
    give(("agent0.tools", "elsewhere", "their_package:E"), E=elsewhere)
    drawn = roll(tokenizer, sandbox, in_order(PROGRAM, "\\boxed{1}"), *get_tools(("elsewhere",)))
    assert [call.observation for call in drawn.tool_calls] == ["Nothing is noted."]


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        (["filtering.min_grounded=0.5"], "filtering.min_grounded needs programs in Python"),
        (["warm_start.steps=4"], "warm_start.source needs programs in Python"),
        (["curriculum.sampling.vocabulary_retention=0.9"], "vocabulary_retention is 0.9, which may mask the word"),
    ],
)
def test_settings_that_need_python_are_refused_without_it(given_settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config("tiny", ["rollout.tools=calculator", *given_settings])


@given(st.text(alphabet="ab`~\n calc", max_size=60))
def test_only_programs_and_listings_have_a_label_and_it_stands_behind_their_fence(text: str) -> None:
    for piece in segments(text):
        opening = text[piece.start : piece.end].partition("\n")[0].lower()
        assert piece.label in {"program": ["python"], "listing": ["", *opening.split()]}.get(piece.kind, [""]) or (
            piece.kind == "listing" and opening.lstrip("`~").lstrip().startswith(piece.label)
        )
