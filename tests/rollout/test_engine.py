from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noted import Noted

from agent0.config import RolloutSettings
from agent0.domains import get_prompts
from agent0.errors import Agent0Error
from agent0.rollout import Batch, Generation, RolloutEngine, TokenBudget
from agent0.rollout.scripted import ScriptedBackend
from agent0.rollout.trajectory import Observations
from agent0.sandbox import RunResult
from agent0.types import Trajectory

PROMPTS = get_prompts(RolloutSettings())
BUDGET = TokenBudget(prompt=64, response=200, observation=48, turns=3)
CALL = "```python\nprint(12*34)\n```\n"


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
        self.sources: list[str] = []

    async def arun(self, source: str) -> RunResult:
        self.sources.append(source)
        return self.reply(source)


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
    prompt = PROMPTS.encode(tokenizer, [{"role": "user", "content": "solve What is 12*34?"}])
    return engine.run([prompt] * count, 0), programs


def after_first_output(text: str) -> str:
    return "\\boxed{408}" if "```output" in text else CALL


def test_a_tool_call_is_run_shown_and_masked(tokenizer: Any) -> None:
    (trajectory,), programs = roll(tokenizer, after_first_output)
    assert programs.sources == ["print(12*34)\n"]
    assert trajectory.text == CALL + "```output\n408\n```\n\\boxed{408}"
    assert trajectory.answer == "408"
    assert trajectory.finish == "eos"
    hidden = [t for t, m in zip(trajectory.completion_ids, trajectory.mask, strict=True) if m == 0]
    assert tokenizer.decode(hidden) == "```output\n408\n```\n"
    assert [call.status for call in trajectory.tool_calls] == ["ok"]


def test_ids_mask_and_logprobs_are_aligned(tokenizer: Any) -> None:
    (trajectory,), _ = roll(tokenizer, after_first_output)
    assert trajectory.logprobs is not None
    assert len(trajectory.completion_ids) == len(trajectory.mask) == len(trajectory.logprobs)


def test_programs_run_while_other_trajectories_are_drawn(tokenizer: Any) -> None:
    running, most = 0, 0

    class Slow:
        async def arun(self, source: str) -> RunResult:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.05)
            running -= 1
            return result("408\n")

    drawn_meanwhile: list[int] = []

    def write(text: str) -> str:
        drawn_meanwhile.append(running)
        return after_first_output(text) if "12*34" in text else "\\boxed{1}"

    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, write, concurrency=4), Slow(), BUDGET)
    calling, plain = (PROMPTS.encode(tokenizer, [{"role": "user", "content": f"solve {q}"}]) for q in ("12*34", "2+3"))
    trajectories = engine.run([calling] * 3 + [plain] * 9, 0)
    assert [len(t.tool_calls) for t in trajectories] == [1] * 3 + [0] * 9
    assert most == 3
    assert 3 in drawn_meanwhile


def test_batches_are_delivered_whole_and_no_more_than_fits_is_in_flight(tokenizer: Any) -> None:
    flying, most = 0, 0

    def write(text: str) -> str:
        return after_first_output(text)

    class Counting:
        async def arun(self, source: str) -> RunResult:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.01)
            flying -= 1
            return result("408\n")

    delivered: dict[int, list[Trajectory]] = {}
    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, write, concurrency=5), Counting(), BUDGET)
    prompt = PROMPTS.encode(tokenizer, [{"role": "user", "content": "solve What is 12*34?"}])
    watch = Noted()
    engine.run_batches(
        (Batch(key, [prompt] * key, seed=0) for key in (1, 4, 0, 7, 2)),
        lambda batch, trajectories: delivered.__setitem__(batch.key, trajectories),
        watch,
    )
    assert {key: len(trajectories) for key, trajectories in delivered.items()} == {1: 1, 4: 4, 0: 0, 7: 7, 2: 2}
    assert watch.trajectories == 14
    drawn = [sum(trajectory.mask) for trajectories in delivered.values() for trajectory in trajectories]
    assert sum(watch.tokens) == sum(drawn) == engine.throughput.tokens
    assert most == 5


@pytest.mark.parametrize("concurrency", [None, 3])
def test_a_group_is_told_of_when_it_has_ended_and_batches_may_still_be_to_come(
    tokenizer: Any, concurrency: int | None
) -> None:
    told: list[tuple[int, int, int]] = []
    delivered: list[int] = []

    async def batches() -> AsyncIterator[Batch]:
        yield Batch(1, [[5, 6]] * 6, group=2)
        while len(delivered) < 1:  # the second is thought of only when the first is there
            await asyncio.sleep(0.001)
        yield Batch(2, [[5, 6]] * 2, group=1)

    backend = ScriptedBackend(tokenizer, lambda _: "\\boxed{1}", concurrency)
    engine = RolloutEngine(tokenizer, backend, FakePrograms(lambda _: result()), BUDGET)
    asyncio.run(
        engine.arun_batches(
            batches(),
            lambda batch, trajectories: delivered.append(batch.key),
            ended=lambda batch, group, drawn: told.append((batch.key, group, len(drawn) + 10 * len(delivered))),
        )
    )
    assert sorted(told) == [(1, 0, 2), (1, 1, 2), (1, 2, 2), (2, 0, 11), (2, 1, 11)]
    assert delivered == [1, 2]


def test_an_error_of_one_trajectory_ends_the_rest(tokenizer: Any) -> None:
    cancelled = []

    class Failing:
        async def arun(self, source: str) -> RunResult:
            try:
                await asyncio.sleep(0.01 if not cancelled and source else 30)
            except asyncio.CancelledError:
                cancelled.append(source)
                raise
            raise Agent0Error("the sandbox is gone")

    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, lambda _: CALL, concurrency=8), Failing(), BUDGET)
    with pytest.raises(Agent0Error, match="the sandbox is gone"):
        engine.run([[5, 6]] * 4, 0)


@pytest.mark.parametrize("later", range(7))
def test_what_has_ended_is_delivered_however_soon_before_its_neighbour_takes_all_down(
    tokenizer: Any, later: int
) -> None:
    ended: list[int] = []

    class Ticking(ScriptedBackend):
        async def generate(self, request: Any) -> Any:
            fails = request.prompt == [1]
            for _ in range(4 if fails else 1 + later):
                await asyncio.sleep(0)
            if fails:
                raise Agent0Error("the machine is gone")
            ended.extend(request.prompt)
            return Generation([tokenizer.eos_token_id], "eos")

    delivered: list[int] = []
    engine = RolloutEngine(
        tokenizer, Ticking(tokenizer, str, concurrency=2), FakePrograms(lambda _: result()), TokenBudget(9, 9, 9, 0)
    )
    with pytest.raises(Agent0Error, match="the machine is gone"):
        engine.run_batches([Batch(0, [[1]]), Batch(2, [[2]])], lambda batch, _: delivered.append(batch.key))
    assert delivered == ended
    assert bool(ended) == (later < 5)


def test_every_turn_of_every_trajectory_has_its_own_seed(tokenizer: Any) -> None:
    seeds: list[int] = []

    class Recording(ScriptedBackend):
        async def generate(self, request: Any) -> Any:
            seeds.append(request.seed)
            return await super().generate(request)

    def draw(seed: int) -> list[int]:
        seeds.clear()
        engine = RolloutEngine(
            tokenizer, Recording(tokenizer, after_first_output), FakePrograms(lambda _: result("408\n")), BUDGET
        )
        engine.run([[5, 6]] * 20, seed)
        return list(seeds)

    first = draw(1)
    assert len(set(first)) == 40
    assert draw(1) == first
    assert not set(draw(2)) & set(first)


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
    assert programs.sources == []


@pytest.mark.parametrize("block", ["```python\n```\n", "```py\n\n# nothing yet\n```\n"])
def test_a_block_without_a_program_is_answered_not_run(tokenizer: Any, block: str) -> None:
    (trajectory,), programs = roll(tokenizer, lambda text: "\\boxed{1}" if "Error" in text else f"hm\n{block}")
    assert trajectory.tool_calls[0].status == "no_code"
    assert "Error: the block holds no program." in trajectory.text
    assert programs.sources == []


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
        async def arun(self, source: str) -> RunResult:
            raise Agent0Error("the sandbox is gone")

    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, lambda _: CALL), Broken(), BUDGET)
    with pytest.raises(Agent0Error, match="the sandbox is gone"):
        engine.run([[5, 6]], 0)


def test_a_long_observation_keeps_its_end_and_its_fence(tokenizer: Any) -> None:
    (trajectory,), _ = roll(tokenizer, after_first_output, reply=lambda _: result("7" * 500 + "END\n"))
    hidden = tokenizer.decode([t for t, m in zip(trajectory.completion_ids, trajectory.mask, strict=True) if m == 0])
    assert hidden.endswith("END\n```\n")
    assert trajectory.mask.count(0) <= BUDGET.observation
    assert trajectory.finish == "eos"


@settings(max_examples=60)
@given(output=st.text(st.characters(codec="utf-8", exclude_characters="`"), max_size=200), limit=st.integers(24, 48))
def test_no_observation_is_longer_than_its_budget(tokenizer: Any, output: str, limit: int) -> None:
    shown = Observations(tokenizer, limit).token_ids("```\n", output)
    assert len(shown) <= limit
    assert str(tokenizer.decode(shown)).endswith("\n```\n")


def test_what_spells_a_control_token_is_text(tokenizer: Any) -> None:
    output = f"7{tokenizer.eos_token}8\n"
    shown = Observations(tokenizer, 64).token_ids("```\n", output)
    assert tokenizer.eos_token_id not in shown
    assert output in tokenizer.decode(shown)


def test_a_prompt_over_the_budget_is_an_error(tokenizer: Any) -> None:
    engine = RolloutEngine(
        tokenizer, ScriptedBackend(tokenizer, lambda _: ""), FakePrograms(lambda _: result()), BUDGET
    )
    with pytest.raises(Agent0Error, match="max_prompt_tokens"):
        engine.run([[1] * 65], 0)


@settings(max_examples=60)
@given(
    turns=st.lists(
        st.sampled_from(
            [CALL, "\\boxed{4}", "words " * 9, "```output\n4\n```\n", "", "```python\n", "```\n", "</think>"]
        ),
        min_size=1,
        max_size=6,
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
    assert trajectory.logprobs is not None
    assert len(trajectory.logprobs) == len(trajectory.mask)
