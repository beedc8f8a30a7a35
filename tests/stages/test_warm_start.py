from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import short_evolution

from agent0.config import WIRE, Config, load_config
from agent0.domains import get_domain
from agent0.errors import Agent0Error, UsageError
from agent0.rollout.model_folders import load_model
from agent0.stages import Stage, StageResult, warm_start
from agent0.stages.opening import check_graph
from agent0.stages.warm_start import run_warm_start
from agent0.types import ToolCall, Trajectory


@pytest.fixture
def base(model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from agent0.tiny.pretrain import ensure_base_model

    monkeypatch.setenv("AGENT0_CACHE", str(model_cache))
    return ensure_base_model(settings().model.tiny, lambda *_: None)


def settings(*overrides: str) -> Config:
    return load_config("tiny", [*short_evolution.SHORT, "warm_start.steps=2", "warm_start.batch_size=4", *overrides])


def warm(base: Path, output: Path, config: Config) -> StageResult:
    return run_warm_start(
        Stage.untracked("warm_start", 0),
        base_model=base,
        output=output,
        rollout=config.rollout,
        sandbox=config.sandbox,
        warm_start=config.warm_start,
        curriculum=config.curriculum,
        training=config.training,
    )


def moved(base: Path, output: Path) -> float:
    before, after = (next(load_model(folder, "float32")[0].parameters()) for folder in (base, output))
    return float((before - after).detach().abs().max())


def test_demonstrations_move_the_weights_and_every_step_is_kept(base: Path, tmp_path: Path) -> None:
    result = warm(base, tmp_path / "warm", settings())
    assert len(result.log) == 2
    assert result.metrics["warm_start/learned_tokens"] > 0
    assert moved(base, tmp_path / "warm") > 0


def test_the_models_own_valid_transcripts_can_be_learned(base: Path, tmp_path: Path) -> None:
    config = settings("warm_start.source=own", "warm_start.own_samples=24", "warm_start.own_minimum=2")
    result = warm(base, tmp_path / "warm", config)
    assert 0 < result.metrics["warm_start/valid_proposals"] <= 1
    assert 0 < result.metrics["warm_start/valid_solutions"] <= 1
    assert moved(base, tmp_path / "warm") > 0


def test_too_few_valid_transcripts_are_a_sentence(base: Path, tmp_path: Path) -> None:
    config = settings("warm_start.source=own", "warm_start.own_samples=24", "warm_start.own_minimum=24")
    with pytest.raises(Agent0Error, match=r"own 24 proposals are valid.*own_minimum is 24"):
        warm(base, tmp_path / "warm", config)


def test_more_valid_transcripts_than_are_drawn_are_refused_before_anything() -> None:
    with pytest.raises(UsageError, match=r"own_minimum 9 asks for more .* warm_start.own_samples 8 draws"):
        settings("warm_start.source=own", "warm_start.own_samples=8", "warm_start.own_minimum=9")


def test_a_domain_that_holds_out_all_of_its_tasks_is_told_so(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = replace(get_domain("arithmetic"), held_out=lambda _: True)
    monkeypatch.setattr(warm_start, "get_domain", lambda _: closed)
    with pytest.raises(UsageError, match="arithmetic holds out all of 1000 tasks"):
        warm(base, tmp_path / "warm", settings())


@pytest.mark.parametrize(
    ("tokens", "calls", "turns", "valid"), [(6, 1, 1, True), (7, 1, 1, False), (6, 0, 1, False), (6, 0, 0, True)]
)
def test_a_transcript_of_its_own_has_room_for_its_end_and_uses_the_tool_that_it_has(
    tokens: int, calls: int, turns: int, valid: bool
) -> None:
    rollout = settings(f"rollout.max_turns={turns}").rollout.model_copy(update={"max_response_tokens": 7})
    made = Trajectory(
        prompt_ids=(1,),
        completion_ids=(2,) * tokens,
        mask=(1,) * tokens,
        text="",
        tool_calls=(ToolCall(code="1", observation="", status="ok"),) * calls,
        finish="eos",
        answer="4",
    )
    assert warm_start.is_valid(made, rollout) is valid


def test_a_domain_without_a_program_has_nothing_to_demonstrate(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No program writes tasks of the domain mathematics"):
        warm(base, tmp_path / "warm", settings("rollout.domain=mathematics"))


@pytest.mark.parametrize(("compiled", "steps"), [(True, 0), (False, 2)])
def test_settings_that_the_pipeline_has_no_task_for_are_refused(compiled: bool, steps: int) -> None:
    check_graph(settings(f"warm_start.steps={steps}"), with_warm_start=bool(steps), wire=WIRE)
    message = f"compiled {'with' if compiled else 'without'} a warm start; compile it again"
    with pytest.raises(UsageError, match=re.escape(message)):
        check_graph(settings(f"warm_start.steps={steps}"), with_warm_start=compiled, wire=WIRE)
