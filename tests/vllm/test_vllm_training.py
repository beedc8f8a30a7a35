"""A training of adapters for which a real vLLM engine draws: its own, or a server, also ahead of the trainer."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from agent0.config import (
    CheckpointSettings,
    CurriculumSettings,
    ExecutorSettings,
    LoraSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrainingSettings,
)
from agent0.stages import Stage
from agent0.stages.session import StageResult
from agent0.stages.training_stage import run_training
from agent0.storage.shards import write_shards
from agent0.types import LabelledTask, Task, Vote

SANDBOX = SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0, workers=1)
EXECUTOR = ExecutorSettings(steps=3, tasks_per_step=4, group_size=4, updates_per_step=2, learning_rate=1e-2)
CURRICULUM = CurriculumSettings(steps=2, prompts_per_step=4, group_size=4, executor_samples=4, learning_rate=1e-2)
LARGEST_DIFFERENCE = 1e-3  # between the log-probabilities of one token at the engine and at the trainer, in float32


def settings(backend: str, **changes: Any) -> TrainingSettings:
    fields = {
        "policy_backend": backend,
        "lora": LoraSettings(rank=4, alpha=8),
        "checkpoints": CheckpointSettings(every=0),
        **changes,
    }
    return TrainingSettings.model_validate(fields)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    write_shards(tmp_path / "tasks", [labelled(f"{a}+{a + 2}") for a in range(1, 9)], LabelledTask)
    return tmp_path / "tasks"


def labelled(question: str) -> LabelledTask:
    answer = str(sum(map(int, question.split("+"))))
    task = Task(id=question, iteration=1, question=question)
    vote = Vote(answer=answer, count=5, k=10, clusters=3)
    return LabelledTask(task=task, vote=vote, answers=(answer,), tool_calls=1.0, truncated=0.0)


def train(
    tmp_path: Path, base: Path, rollout: RolloutSettings, training: TrainingSettings, **given: Any
) -> StageResult:
    return run_training(
        Stage.untracked("training", seed=3),
        base=base,
        output=tmp_path / "output",
        model=ModelSettings(),
        rollout=rollout,
        sandbox=SANDBOX,
        training=training,
        headline=(),
        **given,
    )


def moved(base: Path, output: Path) -> bool:
    from safetensors.torch import load_file

    before, after = load_file(base / "model.safetensors"), load_file(output / "model.safetensors")
    return any(not after[name].equal(weight) for name, weight in before.items())


def test_a_server_draws_ahead_with_the_adapters_of_the_updates_before(
    model_folder: Path, rollout: RolloutSettings, tasks: Path, tmp_path: Path
) -> None:
    training = settings("vllm_server", staleness=1)
    log = train(tmp_path, model_folder, rollout, training, algorithm=EXECUTOR, tasks=tasks).log
    assert len(log) == 6
    assert moved(model_folder, tmp_path / "output")
    first_of_batches = log[::2]
    differences = [row["sampling/sampling_logp_difference/mean"] for row in first_of_batches]
    assert [row["rollout/staleness"] for row in log] == [0, 1, 2, 3, 2, 3]
    assert differences[0] < LARGEST_DIFFERENCE < min(differences[1:])  # drawn by older weights than are trained on
    kept = [path.name for path in (tmp_path / "output.job" / "adapters").iterdir()]
    assert kept == ["000004"]  # of the last batch


def test_the_trainers_own_engine_takes_turns_between_adapters_and_the_frozen_executor(
    model_folder: Path, trained: Any, rollout: RolloutSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from vllm import _custom_ops

    monkeypatch.setattr(_custom_ops, "_supports_onednn", False)  # see test_vllm_turns.py
    model = copy.deepcopy(trained[0])
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    for part in (model, trained[1]):
        part.save_pretrained(tmp_path / "executor")
    training = settings("vllm")
    log = train(
        tmp_path, model_folder, rollout, training, algorithm=CURRICULUM, frozen_executor=tmp_path / "executor"
    ).log
    assert max(row["sampling/sampling_logp_difference/mean"] for row in log[:: CURRICULUM.updates_per_step]) < (
        LARGEST_DIFFERENCE
    )
    assert moved(model_folder, tmp_path / "output")
    assert all(0 < row["executor/self_consistency"] <= 1 for row in log[:: CURRICULUM.updates_per_step])
