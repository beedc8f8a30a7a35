"""A small model that half-masters the embedded world, and jobs that train it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import short_evolution

from agent0.answers import VoteCounter
from agent0.config import (
    CheckpointSettings,
    CurriculumSettings,
    ExecutorSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrainingSettings,
    load_config,
)
from agent0.storage.shards import write_shards
from agent0.tiny.pretrain import cache_directory
from agent0.training import kubernetes_api
from agent0.training.training_job import TrainingJob
from agent0.types import LabelledTask, Task, Vote
from tests.training.trainjob_server import TrainJobServer, trainjob_server

ROLLOUT = RolloutSettings(
    max_turns=1, max_prompt_tokens=96, max_response_tokens=56, max_observation_tokens=24, compaction_interval=16
)
QUESTIONS = {"What is 2+3?": "5", "What is 4*9?": "36", "What is 12+7?": "19", "What is 8-3?": "5"}


@pytest.fixture(scope="session")
def half_trained(model_cache: Path) -> Path:
    """A folder with a model that sometimes answers: enough for rewards to differ."""
    with pytest.MonkeyPatch.context() as patch:  # other tests may have put models of other settings beside it
        patch.setenv("AGENT0_CACHE", str(model_cache))
        return cache_directory(load_config("tiny", short_evolution.SHORT).model.tiny)


@pytest.fixture(scope="session")
def counter() -> Iterator[VoteCounter]:
    """What counts votes for all tests."""
    with VoteCounter() as counter:
        yield counter


@pytest.fixture
def make_job(half_trained: Path, tmp_path: Path) -> Callable[..., TrainingJob]:
    """A function that returns a job of three batches of two updates; keywords replace the job's fields."""

    def make(name: str, questions: Mapping[str, str] = QUESTIONS, **changes: Any) -> TrainingJob:
        tasks = [
            LabelledTask(
                task=Task(id=question, iteration=1, question=question),
                vote=Vote(answer=answer, count=5, k=10, clusters=3),
                answers=(answer,),
                tool_calls=1.0,
                truncated=0.0,
            )
            for question, answer in questions.items()
        ]
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        write_shards(folder / "tasks", tasks, LabelledTask)
        fields: dict[str, Any] = {
            "folder": folder / "job",
            "base": half_trained,
            "output": folder / "output",
            "workspace": folder / "workspace",
            "tasks": folder / "tasks",
            "model": ModelSettings(),
            "rollout": ROLLOUT,
            "sandbox": SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0, workers=1),
            "algorithm": ExecutorSettings(
                steps=3, tasks_per_step=4, group_size=4, updates_per_step=2, learning_rate=1e-3
            ),
            "agent": "executor",
            "training": TrainingSettings(checkpoints=CheckpointSettings(every=1, keep=2)),
            "seed": 7,
        }
        return TrainingJob(**{**fields, **changes})

    return make


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainJobServer]:
    with trainjob_server(tmp_path) as running:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        monkeypatch.setattr(kubernetes_api, "PATIENCE_SECONDS", 20.0)
        monkeypatch.setattr(kubernetes_api, "PAUSE_SECONDS", 0.2)
        yield running


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    """A job whose nodes only pretend."""
    return TrainingJob(
        folder=tmp_path / "job",
        base=tmp_path / "base",
        output=tmp_path / "output",
        workspace=tmp_path / "workspace",
        model={},
        rollout={},
        sandbox={},
        algorithm=ExecutorSettings(),
        agent="executor",
        training=TrainingSettings(),
        seed=1,
    )


@pytest.fixture
def curriculum() -> CurriculumSettings:
    """Three small batches of proposals."""
    return CurriculumSettings(steps=3, prompts_per_step=2, group_size=4, executor_samples=2, learning_rate=1e-3)
