from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent0.config import RolloutSettings, SamplingSettings, load_config
from agent0.domains import UNCONDITIONED
from agent0.protocol import STOP
from agent0.rollout.engine import Generation, Request
from agent0.rollout.scripted import ScriptedBackend
from agent0.stages import open_agents
from agent0.types import Condition, Trajectory

CALL = "```python\nprint(1+2)\n```\n"


class Recorder(ScriptedBackend):
    """A scripted model that keeps the requests it was given."""

    def __init__(self, tokenizer: Any, write: Callable[[str], str]) -> None:
        super().__init__(tokenizer, write)
        self.requests: list[Request] = []

    async def generate(self, request: Request) -> Generation:
        self.requests.append(request)
        return await super().generate(request)


@pytest.fixture
def folder(tokenizer: Any, tmp_path: Path) -> Path:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")  # what says that a folder holds a model
    return tmp_path


@pytest.fixture
def recorder(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A model that wants the tool until it sees an output."""
    backend = Recorder(tokenizer, lambda text: "\\boxed{3}" if "```output" in text else CALL)

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[Recorder]:
        yield backend

    monkeypatch.setattr(open_agents, "open_backend", opened)
    return backend


def propose(folder: Path, sandbox: Any, rollout: RolloutSettings) -> Trajectory:
    with open_agents.open_proposer(
        folder, sandbox, rollout, SamplingSettings(), executor=folder, log=folder, seed=0
    ) as agent:
        return agent.propose(1, 0)[0].trajectory


def test_a_proposal_must_belong_to_the_topic_that_it_was_asked_for(
    folder: Path, sandbox: Any, recorder: Recorder
) -> None:
    rollout = load_config("spiral").rollout
    made = Trajectory(
        prompt_ids=(1,), completion_ids=(2,), mask=(1,), text="<question>What is 2+3*4?</question>", finish="eos"
    )
    with open_agents.open_proposer(
        folder, sandbox, rollout, SamplingSettings(), executor=folder, log=folder, seed=0
    ) as agent:
        read = agent.read([made] * 3, [Condition(topic="3x1"), Condition(topic="5x3"), UNCONDITIONED])
    question = "What is 2+3*4?"
    assert [(p.question, p.rejection) for p in read] == [(question, None), (None, "off_topic"), (question, None)]


def solve(folder: Path, sandbox: Any, rollout: RolloutSettings) -> Trajectory:
    with open_agents.open_executor(folder, sandbox, rollout, SamplingSettings(), log=folder, seed=0) as agent:
        return agent.solve(["What is 1+2?"], 1, 0)[0][0]


def prompt(recorder: Recorder, tokenizer: Any) -> str:
    return str(tokenizer.decode(recorder.requests[0].prompt))


def test_both_agents_have_the_tool(folder: Path, sandbox: Any, recorder: Recorder) -> None:
    rollout = load_config("tiny").rollout
    assert len(propose(folder, sandbox, rollout).tool_calls) == 1
    assert len(solve(folder, sandbox, rollout).tool_calls) == 1
    assert {request.stop for request in recorder.requests} == {STOP}


def test_a_proposer_without_the_tool_meets_no_stop_string_and_the_executor_still_does(
    folder: Path, sandbox: Any, recorder: Recorder
) -> None:
    rollout = load_config("tiny", ablations=["proposer-without-tool"]).rollout
    proposed = propose(folder, sandbox, rollout)
    assert (proposed.tool_calls, proposed.text) == ((), CALL)
    assert [request.stop for request in recorder.requests] == [None]
    assert len(solve(folder, sandbox, rollout).tool_calls) == 1


def test_without_the_tool_no_agent_meets_a_stop_string(folder: Path, sandbox: Any, recorder: Recorder) -> None:
    rollout = load_config("tiny", ablations=["no-tool"]).rollout
    assert propose(folder, sandbox, rollout).tool_calls == ()
    assert solve(folder, sandbox, rollout).tool_calls == ()
    assert {request.stop for request in recorder.requests} == {None}


def test_in_a_single_turn_a_second_program_is_not_run(
    folder: Path, sandbox: Any, recorder: Recorder, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_write", lambda _: CALL)
    solved = solve(folder, sandbox, load_config("tiny", ablations=["single-turn"]).rollout)
    assert (len(solved.tool_calls), solved.finish) == (1, "turns")


def test_the_prompt_that_reaches_a_model_names_the_tool_only_where_there_is_one(
    folder: Path, sandbox: Any, recorder: Recorder, tokenizer: Any
) -> None:
    settings = {"domain": "mathematics", "max_prompt_tokens": 1024, "max_response_tokens": 72}
    propose(folder, sandbox, RolloutSettings.model_validate({**settings, "proposer_tool": False}))
    assert "```python" not in prompt(recorder, tokenizer)
    recorder.requests.clear()
    solve(folder, sandbox, RolloutSettings.model_validate({**settings, "proposer_tool": False}))
    assert "```python" in prompt(recorder, tokenizer)
