from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.errors import Agent0Error
from agent0.rollout import RolloutEngine, TokenBudget, encode_prompt
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox import RunResult
from agent0.types import Trajectory

BUDGET = TokenBudget(prompt=64, response=200, observation=48, turns=3)
CALL = "```python\nprint(12*34)\n```\n```output"


def result(stdout: str = "", stderr: str = "", status: Any = "ok") -> RunResult:
    return RunResult(
        status=status,
        stdout=stdout,
        stderr=stderr,
        exit_code=0,
        wall_seconds=0.0,
        cpu_seconds=0.0,
        peak_memory_mb=0.0,
    )


class FakePrograms:
    """Stands in for the sandbox and remembers what it was asked to run."""

    def __init__(self, reply: Callable[[str], RunResult]) -> None:
        self.reply = reply
        self.batches: list[list[str]] = []

    def run_many(self, sources: Any) -> list[RunResult]:
        self.batches.append(list(sources))
        return [self.reply(source) for source in sources]


def roll(
    tokenizer: Any,
    write: Callable[[str], str],
    *,
    reply: Callable[[str], RunResult] = lambda _: result("408\n"),
    budget: TokenBudget = BUDGET,
    count: int = 1,
) -> tuple[list[Trajectory], FakePrograms]:
    programs = FakePrograms(reply)
    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, write), programs, budget)
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": "solve What is 12*34?"}])
    return engine.run([prompt] * count), programs


def after_first_output(text: str) -> str:
    return "\\boxed{408}" if "```output" in text else CALL


def test_a_tool_call_is_run_shown_and_masked(tokenizer: Any) -> None:
    (trajectory,), programs = roll(tokenizer, after_first_output)
    assert [source for batch in programs.batches for source in batch] == ["print(12*34)\n"]
    assert trajectory.text == CALL + "\n408\n```\n\\boxed{408}"
    assert trajectory.answer == "408"
    assert trajectory.finish == "eos"
    hidden = [t for t, m in zip(trajectory.completion_ids, trajectory.mask, strict=True) if m == 0]
    assert tokenizer.decode(hidden) == "\n408\n```\n"
    assert [call.status for call in trajectory.tool_calls] == ["ok"]


def test_ids_mask_and_logprobs_are_aligned(tokenizer: Any) -> None:
    (trajectory,), _ = roll(tokenizer, after_first_output)
    assert trajectory.logprobs is not None
    assert len(trajectory.completion_ids) == len(trajectory.mask) == len(trajectory.logprobs)


def test_the_programs_of_a_turn_run_together(tokenizer: Any) -> None:
    trajectories, programs = roll(tokenizer, after_first_output, count=5)
    assert len(trajectories) == 5
    assert programs.batches[0] == ["print(12*34)\n"] * 5


def test_the_turn_budget_ends_a_trajectory(tokenizer: Any) -> None:
    (trajectory,), _ = roll(tokenizer, lambda _: CALL)
    assert trajectory.finish == "turns"
    assert trajectory.truncated
    assert len(trajectory.tool_calls) == BUDGET.turns


def test_without_turns_nothing_is_run(tokenizer: Any) -> None:
    budget = TokenBudget(prompt=64, response=128, observation=32, turns=0)
    (trajectory,), programs = roll(tokenizer, lambda _: CALL, budget=budget)
    assert trajectory.finish == "eos"
    assert trajectory.tool_calls == ()
    assert sum(map(len, programs.batches)) == 0


def test_a_stop_without_code_is_answered_not_run(tokenizer: Any) -> None:
    (trajectory,), programs = roll(tokenizer, lambda text: "\\boxed{1}" if "Error" in text else "hm\n```output")
    assert trajectory.tool_calls[0].status == "no_code"
    assert "Error: no complete Python block." in trajectory.text
    assert sum(map(len, programs.batches)) == 0


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (
            result("1\n", "Traceback …\nZeroDivisionError: division by zero\n", "error"),
            "1\nZeroDivisionError: division by zero\n",
        ),
        (result("", "", "timeout"), "Error: timeout\n"),
        (result("", "", "memory"), "Error: memory\n"),
        (result("x", "", "output_limit"), "Error: output limit\n"),
        (result("", "", "error"), "Error: the program failed without a message.\n"),
    ],
)
def test_a_failing_program_is_an_observation(tokenizer: Any, reply: RunResult, shown: str) -> None:
    write = lambda text: "\\boxed{1}" if "output\n" in text else CALL  # noqa: E731
    (trajectory,), _ = roll(tokenizer, write, reply=lambda _: reply)
    assert shown in trajectory.text


def test_a_failing_sandbox_is_no_observation(tokenizer: Any) -> None:
    class Broken:
        def run_many(self, sources: Any) -> list[RunResult]:
            raise Agent0Error("the sandbox is gone")

    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, lambda _: CALL), Broken(), BUDGET)
    with pytest.raises(Agent0Error, match="the sandbox is gone"):
        engine.run([[5, 6]])


def test_a_long_observation_keeps_its_end_and_its_fence(tokenizer: Any) -> None:
    (trajectory,), _ = roll(tokenizer, after_first_output, reply=lambda _: result("7" * 500 + "END\n"))
    hidden = tokenizer.decode([t for t, m in zip(trajectory.completion_ids, trajectory.mask, strict=True) if m == 0])
    assert hidden.endswith("END\n```\n")
    assert trajectory.mask.count(0) <= BUDGET.observation + 2
    assert trajectory.finish == "eos"


def test_a_prompt_over_the_budget_is_an_error(tokenizer: Any) -> None:
    engine = RolloutEngine(
        tokenizer, ScriptedBackend(tokenizer, lambda _: ""), FakePrograms(lambda _: result()), BUDGET
    )
    with pytest.raises(Agent0Error, match="max_prompt_tokens"):
        engine.run([[1] * 65])


def test_a_tokenizer_without_a_chat_template_is_refused() -> None:
    class Bare:
        chat_template = None

    with pytest.raises(Agent0Error, match="chat template"):
        encode_prompt(Bare(), [])


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(
        st.sampled_from([CALL, "\\boxed{4}", "words " * 9, "```output", "", "```python\n"]), min_size=1, max_size=6
    ),
    output=st.text(max_size=40),
    response=st.integers(1, 80),
    limit=st.integers(0, 3),
)
def test_no_script_breaks_the_budget(tokenizer: Any, turns: list[str], output: str, response: int, limit: int) -> None:
    queue = iter(turns)
    budget = TokenBudget(prompt=64, response=response, observation=12, turns=limit)
    (trajectory,), _ = roll(
        tokenizer, lambda _: next(queue, "\\boxed{9}"), reply=lambda _: result(output), budget=budget
    )
    assert 1 <= len(trajectory.completion_ids) <= response
    assert len(trajectory.completion_ids) == len(trajectory.mask)
    assert trajectory.mask[0] == 1
    assert len(trajectory.tool_calls) <= limit
