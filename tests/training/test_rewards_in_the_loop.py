from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent0.answers import VoteCounter
from agent0.config import (
    CurriculumSettings,
    ExecutorSettings,
    PromptMessage,
    PromptSettings,
    RewardSettings,
    RolloutSettings,
)
from agent0.domains import Domain, get_domain, get_prompts
from agent0.errors import Agent0Error, UsageError
from agent0.rollout import RolloutEngine, TokenBudget
from agent0.rollout.agents import ExecutorAgent, askable
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox import RunResult
from agent0.training.batch_division import BatchPlan
from agent0.training.curriculum import ExecutorInTheLoopReward
from agent0.training.executor import Correctness, ExecutorReward
from agent0.training.solver import BatchSolver
from agent0.types import Trajectory

STATE = SimpleNamespace(global_step=0)
SHORT = PromptSettings(executor=(PromptMessage(role="user", content="solve {question}"),))
CORRECT = Correctness(get_domain("arithmetic"), None)  # type: ignore[arg-type]  # voted labels need no sandbox
SETTINGS = CurriculumSettings(executor_samples=4, reward=RewardSettings(repetition_weight=0.0))


def proposal(text: str, finish: Any = "eos") -> Trajectory:
    return Trajectory(prompt_ids=(1,), completion_ids=(2,), mask=(1,), text=text, finish=finish)


def executor(tokenizer: Any, sandbox: Any, counter: VoteCounter, write: Callable[[str], str]) -> BatchSolver:
    budget = TokenBudget.from_settings(RolloutSettings(max_prompt_tokens=96, max_response_tokens=96))
    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, write), sandbox, budget)
    agent = ExecutorAgent(engine, get_prompts(RolloutSettings()), get_domain("arithmetic"))
    return BatchSolver(agent, counter, SETTINGS.executor_samples)


def undecided(answers: list[str]) -> Callable[[str], str]:
    """An executor that answers 2+3 in turn by `answers`, and everything else surely, with the tool."""
    queue = iter(answers * 10)

    def write(text: str) -> str:
        if "2+3" in text:
            return f"\\boxed{{{next(queue)}}}"
        return "\\boxed{12}" if "```output" in text else "```python\nprint(5+7)\n```\n"

    return write


def test_the_frontier_earns_the_most_and_nonsense_nothing(tokenizer: Any, sandbox: Any, counter: VoteCounter) -> None:
    logged: dict[str, float] = {}
    reward = ExecutorInTheLoopReward(
        executor(tokenizer, sandbox, counter, undecided(["5", "5", "6", "7"])),
        get_domain("arithmetic"),
        sandbox,
        SETTINGS,
        0,
    )
    batch = [
        proposal("<question>What is 2+3?</question>"),
        proposal("<question>What is 5+7?</question>"),
        proposal("<question>What is love?</question>"),
        proposal("<question>What is 5+8?</question>", "length"),
        proposal("no question"),
    ]
    rewards = reward(batch, log_metric=logged.__setitem__, trainer_state=STATE)
    assert rewards[0] == pytest.approx(1.0)  # p = 1/2, no tool calls
    assert rewards[1] == pytest.approx(0.6 * 0.05 * 1)  # p = 1, one tool call per trajectory
    assert rewards[2:] == [0.0, 0.0, 0.0]
    assert logged["proposals/valid"] == pytest.approx(0.4)
    assert logged["executor/tool_calls"] == pytest.approx(0.5)


def test_an_answer_that_is_not_grounded_speaks_for_nothing_where_that_is_asked_for(
    tokenizer: Any, sandbox: Any, counter: VoteCounter
) -> None:
    def copies_wrongly(text: str) -> str:
        """Half of the samples run a program, which leaves out a number of 2+3+4; the others disagree."""
        if "```output" in text:
            return "\\boxed{12}" if "5+7" in text else "\\boxed{5}"
        drawn.append(text)
        if len(drawn) % 2:
            return f"\\boxed{{{100 + len(drawn)}}}"
        return "```python\nprint(5+7)\n```\n" if "5+7" in text else "```python\nprint(2+3)\n```\n"

    batch = [proposal("<question>What is 2+3+4?</question>"), proposal("<question>What is 5+7?</question>")]
    earned = {}
    for grounded in (False, True):
        drawn: list[str] = []
        weights = RewardSettings(repetition_weight=0.0, tool_reward_per_call=0.0, grounded=grounded)
        settings = SETTINGS.model_copy(update={"reward": weights})
        reward = ExecutorInTheLoopReward(
            executor(tokenizer, sandbox, counter, copies_wrongly), get_domain("arithmetic"), sandbox, settings, 0
        )
        earned[grounded] = reward(batch, log_metric=lambda *_: None, trainer_state=STATE)
    assert earned[False] == pytest.approx([1.0, 1.0])
    assert sorted(earned[True]) == pytest.approx([0.0, 1.0])


def test_what_is_off_its_topic_earns_nothing_where_the_domain_can_tell(
    tokenizer: Any, sandbox: Any, counter: VoteCounter
) -> None:
    def rewarded(domain: Domain) -> tuple[list[float], dict[str, float]]:
        logged: dict[str, float] = {}
        solver = executor(tokenizer, sandbox, counter, undecided(["5", "5", "6", "7"]))
        reward = ExecutorInTheLoopReward(solver, domain, sandbox, SETTINGS, 0)
        batch = [proposal("<question>What is 2+3?</question>")] * 3
        topics = ["2x1", "3x2", ""]
        return reward(batch, log_metric=logged.__setitem__, trainer_state=STATE, topic=topics), logged

    arithmetic = get_domain("arithmetic")
    rewards, logged = rewarded(arithmetic)
    assert rewards == pytest.approx([1.0, 0.0, 1.0])
    assert logged["proposals/valid"] == pytest.approx(2 / 3)
    assert (logged["topic_reward/2x1"], logged["topic_reward/3x2"]) == pytest.approx((1.0, 0.0))
    unchecked, _ = rewarded(Domain(arithmetic.prompts, arithmetic.rejection))
    assert unchecked == pytest.approx([1.0] * 3)


def test_a_first_batch_that_keeps_to_no_topic_is_refused_and_told_what_helps(
    tokenizer: Any, sandbox: Any, counter: VoteCounter
) -> None:
    reward = ExecutorInTheLoopReward(
        executor(tokenizer, sandbox, counter, lambda _: "\\boxed{1}"), get_domain("arithmetic"), sandbox, SETTINGS, 0
    )
    with pytest.raises(Agent0Error, match=r"None of 1 .*1 off_topic.* asked for none \(curriculum.conditioning.topics"):
        reward(
            [proposal("<question>What is 2+3?</question>")],
            log_metric=lambda *_: None,
            trainer_state=STATE,
            topic=["5x3"],
        )


def test_a_repeated_question_is_solved_once_and_pays_for_its_share(
    tokenizer: Any, sandbox: Any, counter: VoteCounter
) -> None:
    asked: list[str] = []

    def write(text: str) -> str:
        asked.append(text)
        return "\\boxed{5}" if len(asked) % 2 else "\\boxed{6}"

    settings = SETTINGS.model_copy(update={"reward": RewardSettings()})
    reward = ExecutorInTheLoopReward(
        executor(tokenizer, sandbox, counter, write), get_domain("arithmetic"), sandbox, settings, 0
    )
    same = [proposal("<question>Find the value of 2+3.</question>")] * 3
    rewards = reward([*same, proposal("junk")], log_metric=lambda *_: None, trainer_state=STATE)
    assert len(asked) == settings.executor_samples
    assert rewards == pytest.approx([1.0 - 3 / 4] * 3 + [0.0])


def test_a_batch_without_any_question_earns_nothing_and_the_first_such_batch_is_refused(
    tokenizer: Any, sandbox: Any, counter: VoteCounter
) -> None:
    reward = ExecutorInTheLoopReward(
        executor(tokenizer, sandbox, counter, lambda _: "\\boxed{1}"), get_domain("arithmetic"), sandbox, SETTINGS, 0
    )
    batch, later = [proposal("a"), proposal("<question>b", "length")], SimpleNamespace(global_step=1)
    assert reward(batch, log_metric=lambda *_: None, trainer_state=later) == [0.0, 0.0]
    with pytest.raises(Agent0Error, match=r"None of 2 proposals .*1 no_question, 1 truncated.* needs a warm start"):
        reward(batch, log_metric=lambda *_: None, trainer_state=STATE)


def test_the_executor_is_paid_for_the_majority_answer_in_any_form() -> None:
    answers = ["408", "408.0", "409", None]
    trajectories = [proposal(f"\\boxed{{{a}}}").model_copy(update={"answer": a}) for a in answers]
    rewards = ExecutorReward(ExecutorSettings(), 4096, CORRECT)(
        trajectories, question=["?"] * 4, pseudo_label=["408"] * 4, log_metric=lambda *_: None
    )
    assert rewards == [1.0, 1.0, 0.0, 0.0]


def test_a_response_near_its_limit_loses_part_of_its_reward() -> None:
    logged: dict[str, float] = {}
    trajectories = [
        proposal("\\boxed{1}").model_copy(
            update={"answer": "1", "completion_ids": (0,) * length, "mask": (1,) * length}
        )
        for length in (80, 90, 100)
    ]
    reward = ExecutorReward(ExecutorSettings(overlong_buffer=20, overlong_penalty=0.5), 100, CORRECT)
    given = {"question": ["?"] * 3, "pseudo_label": ["1"] * 3}
    assert reward(trajectories, **given, log_metric=logged.__setitem__) == [1.0, 0.75, 0.5]
    assert logged["reward/overlong"] == -0.25


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    assert BatchPlan(8, 8, 2).rows == 32
    assert BatchPlan(8, 8, 2, processes=4).rows == 8
    with pytest.raises(UsageError, match="choose numbers that divide"):
        BatchPlan(3, 3, 2)
    with pytest.raises(UsageError, match="choose numbers that divide"):
        BatchPlan(8, 8, 2, 5)


def test_the_whole_batch_is_put_to_the_executor_at_once(tokenizer: Any, counter: VoteCounter) -> None:
    class Counting:
        running = most = 0

        async def arun(self, source: str) -> RunResult:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.05)
            self.running -= 1
            return RunResult(
                status="ok", stdout="12\n", stderr="", exit_code=0, wall_seconds=0, cpu_seconds=0, peak_memory_mb=0
            )

    programs = Counting()
    budget = TokenBudget.from_settings(RolloutSettings(max_prompt_tokens=96, max_response_tokens=96))
    backend = ScriptedBackend(tokenizer, undecided([]), concurrency=512)
    engine = RolloutEngine(tokenizer, backend, programs, budget)
    agent = ExecutorAgent(engine, get_prompts(RolloutSettings()), get_domain("arithmetic"))
    batch = [proposal(f"<question>What is {number}+7?</question>") for number in range(10, 30)]
    reward = ExecutorInTheLoopReward(
        BatchSolver(agent, counter, SETTINGS.executor_samples), get_domain("arithmetic"), programs, SETTINGS, 0
    )
    reward(batch, log_metric=lambda *_: None, trainer_state=STATE)
    assert programs.most == len(batch) * SETTINGS.executor_samples


def test_a_question_beyond_the_executors_prompt_costs_its_own_reward_only(
    tokenizer: Any, sandbox: Any, counter: VoteCounter, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")  # what says that a folder holds a model
    rollout = RolloutSettings(domain="mathematics", prompts=SHORT, max_prompt_tokens=24, max_response_tokens=96)
    engine = RolloutEngine(
        tokenizer, ScriptedBackend(tokenizer, undecided(["5", "6"])), sandbox, TokenBudget.from_settings(rollout)
    )
    rules = askable(tmp_path, rollout)
    long = "\N{SNOWMAN}" * 1500  # within the domain's limit of characters
    assert rules.domain.rejection(long) is None
    assert rules.rejection(long) == "too_many_tokens"
    assert rules.rejection(f"What is 1+1?{rules.tokenizer.eos_token}") == "control_token"
    solver = BatchSolver(ExecutorAgent(engine, rules.prompts, rules.domain), counter, SETTINGS.executor_samples)
    reward = ExecutorInTheLoopReward(solver, rules, sandbox, SETTINGS, 0)
    batch = [proposal("<question>What is 2+3 now?</question>"), proposal(f"<question>{long}</question>")]
    assert reward(batch, log_metric=lambda *_: None, trainer_state=STATE) == pytest.approx([1.0, 0.0])


def test_a_task_without_a_trusted_answer_pays_nobody_and_costs_those_whose_answer_is_refused() -> None:
    answers = ["5", "6", None, "7", "8"]
    trajectories = [proposal(f"\\boxed{{{a}}}").model_copy(update={"answer": a}) for a in answers]
    logged: dict[str, float] = {}
    rewards = ExecutorReward(ExecutorSettings(), 4096, CORRECT)(
        trajectories,
        question=["?"] * 5,
        pseudo_label=["5", "5", "5", "8", "8"],
        negative=[True, True, True, False, False],
        tenable=[["5"], ["5"], ["5"], [], []],
        log_metric=logged.__setitem__,
    )
    assert rewards == [0.0, -1.0, 0.0, 0.0, 1.0]
    assert logged["reward/refused"] == pytest.approx(1 / 3)
