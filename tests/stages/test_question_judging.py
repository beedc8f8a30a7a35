from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_endpoint import Endpoint, reply, serving

from agent0.chat_client import EndpointError
from agent0.config import QuestionJudgeSettings, RolloutSettings
from agent0.domains import get_domain, get_prompts
from agent0.rollout import RolloutEngine, TokenBudget
from agent0.rollout.agents import ExecutorAgent
from agent0.rollout.scripted import ScriptedBackend
from agent0.stages.question_judging import endpoint_judge, executor_judge, judged
from agent0.storage.workspace import Workspace
from agent0.types import LabelledTask, Task, Vote


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as served:
        yield served


def says(body: dict[str, Any]) -> tuple[int, Any]:
    """What is asked about some number is ill posed; of love there is nothing to say."""
    question = body["messages"][1]["content"]
    if "love" in question:
        return 200, reply("Who knows?")
    return 200, reply("ILL_POSED" if "some" in question else "WELL_POSED")


def settings(url: str, **changes: Any) -> QuestionJudgeSettings:
    return QuestionJudgeSettings(source="endpoint", url=url, model="judge", deadline_seconds=0.6, **changes)


def labelled(question: str, audit: str | None = None) -> LabelledTask:
    return LabelledTask(
        task=Task(id=question, iteration=1, question=question, audit_answer=audit),
        vote=Vote(answer="5", count=5, k=10, clusters=2),
        answers=("5",),
        tool_calls=1.0,
        truncated=0.0,
    )


def test_tasks_carry_the_verdicts_and_probes_two_of_them(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = says
    judge = endpoint_judge(settings(endpoint.url), Workspace(tmp_path), pytest.fail)
    tasks = [labelled("What is 2+3?"), labelled("What is 4+some?"), labelled("love?"), labelled("What is 2+7?", "9")]
    assert [(task.well_posed, task.spoiled_well_posed) for task in judged(tasks, judge)] == [
        (True, None),
        (False, None),
        (None, None),
        (True, False),
    ]


def test_nothing_is_asked_twice_by_a_later_attempt(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = says
    first, again = (endpoint_judge(settings(endpoint.url), Workspace(tmp_path), pytest.fail) for _ in range(2))
    assert first(["What is 2+3?"]) == [True]
    assert again(["What is 2+3?", "What is 4+some?"]) == [True, False]
    assert len(endpoint.requests) == 2


def test_a_judge_that_cannot_be_reached_is_no_error_and_is_asked_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    judge = endpoint_judge(settings("http://127.0.0.1:9/v1"), Workspace(tmp_path), warnings.append)
    assert judge(["What is 2+3?", "What is 4+5?"]) == [None, None]
    assert judge(["What is 6+7?"]) == [None]
    (warning,) = warnings
    assert "Questions are left unjudged: The judge at http://127.0.0.1:9/v1/chat/completions" in warning


def test_verdicts_that_came_before_the_judge_went_away_are_kept(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = lambda body: says(body) if len(endpoint.requests) < 2 else (503, "overloaded")
    judge = endpoint_judge(settings(endpoint.url, concurrency=1), Workspace(tmp_path), lambda _: None)
    assert judge(["What is 2+3?", "What is 4+5?"]) == [True, None]


def test_a_judge_that_refuses_is_an_error(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = lambda _: (401, "no such key")
    with pytest.raises(EndpointError, match="refused with 401"):
        endpoint_judge(settings(endpoint.url), Workspace(tmp_path), pytest.fail)(["What is 2+3?"])


def test_the_executor_judges_without_its_tool_and_not_what_it_has_no_room_for(tokenizer: Any, sandbox: Any) -> None:
    seen: list[str] = []

    def write(text: str) -> str:
        seen.append(text)
        return "```python\nprint(1)\n```\nILL_POSED" if "some" in text else "WELL_POSED"

    rollout = RolloutSettings(max_prompt_tokens=400, max_response_tokens=400)
    engine = RolloutEngine(tokenizer, ScriptedBackend(tokenizer, write), sandbox, TokenBudget.from_settings(rollout))
    agent = ExecutorAgent(engine, get_prompts(rollout), get_domain(rollout.domain))
    judge = executor_judge(agent, QuestionJudgeSettings(source="executor"), 0)
    assert judge(["What is 2+3?", "What is 4+some?", "What is 1+1? " * 200]) == [True, False, None]
    assert len(seen) == 2
    assert not any("```output" in text for text in seen)


def test_an_endpoint_must_be_named() -> None:
    with pytest.raises(ValueError, match="give url and model"):
        QuestionJudgeSettings(source="endpoint", url="http://judge:8000/v1")
