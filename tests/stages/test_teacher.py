"""A teacher over real HTTP on the loopback: what it is asked, what it costs, and that nothing is paid for twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_endpoint import Endpoint, reply, serving

from agent0.chat_client import EndpointError
from agent0.config import GenerationSettings, TeacherSettings, load_config
from agent0.errors import Agent0Error, UsageError
from agent0.stages import Stage, StageResult
from agent0.stages.sharding import ALONE, Share
from agent0.stages.stage_files import KEPT_FOLDER, PROPOSALS_FOLDER, TASKS_FOLDER
from agent0.stages.task_generation import run_task_generation
from agent0.storage.shards import iterate_records, write_shards
from agent0.types import LabelledTask, ProposalOutcome, Task, Vote

TINY = load_config("tiny")
PROPOSALS, PROMPT_TOKENS, REPLY_TOKENS = 14, 200, 20


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as served:
        served.answer = teaches
        yield served


def teaches(body: dict[str, Any]) -> tuple[int, Any]:
    """A question by the request's seed, the same whenever it is asked; now and then none."""
    seed = body["seed"]
    said = "I cannot." if seed % 9 == 0 else f"Hm.\n<question>What is {seed % 90 + 10}*{seed % 7 + 2}?</question>"
    return 200, reply(said, PROMPT_TOKENS, REPLY_TOKENS)


@pytest.fixture
def generate(endpoint: Endpoint, model_without_weights: Path, tmp_path: Path) -> Callable[..., StageResult]:
    """A function that runs the stage into a folder."""

    def run(name: str, share: Share = ALONE, domain: str = TINY.rollout.domain, **changes: Any) -> StageResult:
        settings = {"url": endpoint.url, "model": "teacher-1", "max_tokens": 50, "concurrency": 4, **changes}
        teacher = TeacherSettings(deadline_seconds=5, **settings)
        stage = replace(Stage.untracked("task_generation", 2, seed=5), evolution_id=name)
        result = run_task_generation(
            stage,
            curriculum_model=model_without_weights,
            executor_model=model_without_weights,
            history=tmp_path / "history",
            output=tmp_path / name,
            rollout=TINY.rollout.model_copy(update={"domain": domain, "max_prompt_tokens": 600}),
            sandbox=TINY.sandbox,
            curriculum=TINY.curriculum,
            generation=GenerationSettings(proposals=PROPOSALS, shard_size=5, teacher=teacher),
            share=share,
        )
        stage.finish(result, tmp_path / name)
        return result

    return run


def outcomes(*folders: Path) -> list[ProposalOutcome]:
    return list(iterate_records(ProposalOutcome, *(folder / PROPOSALS_FOLDER for folder in folders)))


def tried(number: int, votes: int) -> LabelledTask:
    return LabelledTask(
        task=Task(id=f"t{number}", iteration=1, question=f"What is {number}*{number}?"),
        vote=Vote(answer="9", count=votes, k=10, clusters=3),
        answers=("9",) * votes + ("8",) * (9 - votes) + (None,),
        tool_calls=1.0,
        truncated=0.0,
    )


def test_the_teacher_proposes_and_what_it_costs_is_counted(
    generate: Callable[..., StageResult], endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_TEACHER_KEY", "opaque")
    result = generate("out", prompt_price=2.0, completion_price=10.0, options={"reasoning_effort": "low"})
    assert len(endpoint.requests) == PROPOSALS
    assert {header["Authorization"] for header in endpoint.headers} == {"Bearer opaque"}
    request = endpoint.requests[0]
    assert (request["model"], request["max_tokens"], request["reasoning_effort"]) == ("teacher-1", 50, "low")
    assert "You set exercises in arithmetic" in request["messages"][0]["content"]
    assert len({request["seed"] for request in endpoint.requests}) == PROPOSALS
    assert result.metrics["tasks/teacher_replies"] == PROPOSALS
    assert result.metrics["tasks/teacher_prompt_tokens"] == PROPOSALS * PROMPT_TOKENS
    assert result.metrics["tasks/teacher_completion_tokens"] == PROPOSALS * REPLY_TOKENS
    assert result.metrics["tasks/teacher_cost"] == pytest.approx(
        PROPOSALS * (2 * PROMPT_TOKENS + 10 * REPLY_TOKENS) / 1e6
    )
    said = outcomes(tmp_path / "out")
    assert {outcome.rejection for outcome in said if outcome.question is None} <= {"no_question"}
    tasks = {task.question for task in iterate_records(Task, tmp_path / "out" / TASKS_FOLDER)}
    assert tasks
    assert tasks <= {outcome.question for outcome in said}


def test_it_is_shown_what_the_executor_failed_and_nothing_that_it_knows(
    generate: Callable[..., StageResult], endpoint: Endpoint, tmp_path: Path
) -> None:
    write_shards(tmp_path / "history" / KEPT_FOLDER, [tried(3, 4), tried(12, 8)], LabelledTask)
    generate("out")
    shown = {request["messages"][1]["content"] for request in endpoint.requests}
    (prompt,) = shown
    assert "- What is 3*3? Answers: 8 (5 of 10), 9 (4 of 10), none (1 of 10)\n" in prompt
    assert "12*12" not in prompt
    generate("blind", failures=0)
    assert endpoint.requests[-1]["messages"][1]["content"] == "Write one new exercise."


def test_a_sandbox_is_opened_only_where_proposals_are_verified(
    generate: Callable[..., StageResult], endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "<question>deduction\ndef f(x):\n    return x * x\nf({})</question>"
    endpoint.answer = lambda body: (200, reply(said.format(body["seed"]), PROMPT_TOKENS, REPLY_TOKENS))
    assert generate("verified", domain="programs").metrics["tasks/valid"] == PROPOSALS
    endpoint.answer = teaches
    monkeypatch.setattr("agent0.sandbox.pool.SandboxPool", None)
    assert generate("voted").metrics["tasks/teacher_replies"] == PROPOSALS
    with pytest.raises(TypeError, match="not callable"):
        generate("unverifiable", domain="programs")


@pytest.mark.parametrize("answered", [0, 3, 11])
def test_a_stage_that_broke_off_asks_only_for_the_rest_and_ends_the_same(
    answered: int, generate: Callable[..., StageResult], endpoint: Endpoint, tmp_path: Path
) -> None:
    whole = generate("whole")
    endpoint.requests.clear()
    endpoint.answer = lambda body: teaches(body) if len(endpoint.requests) <= answered else (401, "no credit left")
    with pytest.raises(EndpointError, match=r"The teacher at .* refused with 401: no credit left .*replies until now"):
        generate("broken", concurrency=1)
    (log,) = (tmp_path / "broken.workspace").glob("teacher-*.jsonl")
    log.write_text(log.read_text() + '{"key": "cut by a ki')
    endpoint.requests.clear()
    endpoint.answer = teaches
    resumed = generate("broken", concurrency=1)
    assert len(endpoint.requests) == PROPOSALS - answered
    assert resumed.metrics == whole.metrics
    assert outcomes(tmp_path / "broken") == outcomes(tmp_path / "whole")
    assert all(json.loads(line) for line in log.read_text().splitlines())
    endpoint.requests.clear()
    assert generate("broken", concurrency=1).metrics == whole.metrics
    assert endpoint.requests == []


def test_a_busy_teacher_is_asked_again(generate: Callable[..., StageResult], endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: (429, "slow down") if len(endpoint.requests) < 3 else teaches(body)
    assert generate("out", concurrency=1).metrics["tasks/teacher_replies"] == PROPOSALS


def test_a_budget_is_never_exceeded_and_the_stage_ends_with_what_it_has(
    generate: Callable[..., StageResult], endpoint: Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    budget = 6 * (PROMPT_TOKENS + REPLY_TOKENS)
    result = generate("out", token_budget=budget)
    used = result.metrics["tasks/teacher_prompt_tokens"] + result.metrics["tasks/teacher_completion_tokens"]
    assert 0 < used <= budget
    asked = len(endpoint.requests)
    assert 2 <= asked <= 6
    assert result.counts["rejections"]["budget_spent"] == PROPOSALS - asked
    assert "budget (generation.teacher.token_budget, cost_budget) is spent" in capfd.readouterr().err
    price = 1e6 / (PROMPT_TOKENS + REPLY_TOKENS)
    money = generate("money", cost_budget=6.0, prompt_price=price, completion_price=price)
    assert 0 < money.metrics["tasks/teacher_cost"] <= 6.0


def test_a_spent_budget_may_be_a_failure_and_a_larger_one_pays_for_nothing_twice(
    generate: Callable[..., StageResult], endpoint: Endpoint, tmp_path: Path
) -> None:
    kept = {"replies": str(tmp_path / "replies"), "when_spent": "fail", "concurrency": 1}
    with pytest.raises(Agent0Error, match=r"is spent: \d replies have .* asks only for the others"):
        generate("small", token_budget=6 * (PROMPT_TOKENS + REPLY_TOKENS), **kept)
    paid = len(endpoint.requests)
    whole = generate("whole", concurrency=1)
    del endpoint.requests[:]
    more = generate("larger", token_budget=10_000, **kept)
    assert len(endpoint.requests) == more.metrics["tasks/teacher_replies"] == PROPOSALS - paid
    assert outcomes(tmp_path / "larger") == outcomes(tmp_path / "whole")
    assert more.counts == whole.counts


def test_pods_share_the_budget_and_propose_what_one_would(
    generate: Callable[..., StageResult], endpoint: Endpoint, tmp_path: Path
) -> None:
    generate("whole")
    for pod in range(2):
        generate(f"part{pod}", Share(pod, 2))
    assert outcomes(tmp_path / "part0", tmp_path / "part1") == outcomes(tmp_path / "whole")
    del endpoint.requests[:]
    budget = 8 * (PROMPT_TOKENS + REPLY_TOKENS)
    parts = [generate(f"poor{pod}", Share(pod, 2), token_budget=budget) for pod in range(2)]
    used = [p.metrics["tasks/teacher_prompt_tokens"] + p.metrics["tasks/teacher_completion_tokens"] for p in parts]
    assert 0 < sum(used) <= budget


def test_a_budget_needs_an_endpoint_that_counts(generate: Callable[..., StageResult], endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: (200, reply("<question>What is 2+3?</question>"))
    with pytest.raises(Agent0Error, match="sends no usage, so a budget cannot be kept"):
        generate("out", token_budget=10_000)
    assert generate("free").metrics["tasks/teacher_prompt_tokens"] == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["url=http://t/v1", "model=m"], r"nothing can be trained, but curriculum\.steps is 6"),
        (["url=http://t/v1"], "give url and model"),
        (["cost_budget=1.0"], "cost_budget needs prices"),
        (["url=http://me:secret@t/v1", "model=m"], "url holds a user or a password"),
        (["key_variable=sk-secret-123"], "the key itself never goes into the settings"),
    ],
)
def test_a_teacher_that_could_not_be_asked_is_refused_and_no_secret_is_told(overrides: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        load_config("tiny", [f"generation.teacher.{override}" for override in overrides])
    assert "secret" not in str(refused.value)
