"""The guard of the executor's training, on the embedded model and on one that was spoilt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import short_evolution

from agent0.config import load_config
from agent0.domains.arithmetic_grammar import LEVELS, held_out_questions
from agent0.rollout.model_folders import load_model, load_tokenizer
from agent0.sandbox import open_sandbox
from agent0.stages import Stage, StageResult
from agent0.stages.executor_guard import KEPT_PREVIOUS, guard_training
from agent0.stages.open_agents import open_executor
from agent0.storage.digest import model_digest


@pytest.fixture
def base(model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from agent0.tiny.pretrain import ensure_base_model

    monkeypatch.setenv("AGENT0_CACHE", str(model_cache))
    return ensure_base_model(load_config("tiny", short_evolution.SHORT).model.tiny, lambda *_: None)


def guarded(base: Path, trained: Path, folder: Path) -> StageResult:
    """Guard with questions whose known answers are those that the first model is sure to give."""
    known = folder / "known.jsonl"
    settings = [*short_evolution.SHORT, "execution.sampling.temperature=0", f"execution.known_tasks={known}"]
    config = load_config("tiny", settings)
    questions = held_out_questions(LEVELS[:1], 24, 3)[LEVELS[0].name]
    with (
        open_sandbox(config.sandbox) as pool,
        open_executor(base, pool, config.rollout, config.execution.sampling, log=folder, seed=0) as executor,
    ):
        answers = [made.answer for made, *_ in executor.solve(questions, 1, 0)]
    pairs = [{"question": q, "answer": a} for q, a in zip(questions, answers, strict=True) if a]
    known.write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs), encoding="utf-8")
    return guard_training(
        Stage.untracked("executor_training"),
        before=base,
        trained=trained,
        samples=2,
        rollout=config.rollout,
        sandbox=config.sandbox,
        execution=config.execution,
    )


def test_a_training_that_changed_nothing_stays(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "trained")
    result = guarded(base, tmp_path / "trained", tmp_path)
    assert result.metrics[KEPT_PREVIOUS] == 0
    assert result.metrics["executor/guard_accuracy_before"] == result.metrics["executor/guard_accuracy_after"]
    assert result.warnings == ()


def test_a_training_that_did_harm_is_undone_and_said(base: Path, tmp_path: Path) -> None:
    model, _ = load_model(base, "float32")
    for parameter in model.parameters():
        parameter.data.mul_(0.01)  # what it draws has no sense any more
    model.save_pretrained(tmp_path / "trained")
    load_tokenizer(base).save_pretrained(tmp_path / "trained")
    assert model_digest(tmp_path / "trained") != model_digest(base)
    result = guarded(base, tmp_path / "trained", tmp_path)
    assert result.metrics[KEPT_PREVIOUS] == 1
    assert result.metrics["executor/guard_accuracy_after"] < result.metrics["executor/guard_accuracy_before"] == 1
    assert "the executor solved 100.0% before it" in result.warnings[0]
    assert model_digest(tmp_path / "trained") == model_digest(base)
