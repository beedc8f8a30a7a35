"""What the tests of several stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from scripted_stages import EXECUTION, FREE, GENERATION, QUESTIONS, SANDBOX, TINY, SeededBackend

from agent0.answers import VoteCounter
from agent0.config import (
    ConditioningSettings,
    RolloutSettings,
    TrackingSettings,
)
from agent0.sandbox.stage_sandbox import NoSandbox
from agent0.stages import Stage, StageResult, open_agents, sandboxed_execution, task_generation
from agent0.stages.sandboxed_execution import run_sandboxed_execution
from agent0.stages.sharding import ALONE, Share
from agent0.stages.stage_files import TASKS_FOLDER
from agent0.stages.task_generation import run_task_generation
from agent0.storage.shards import write_shards
from agent0.types import Task


@pytest.fixture
def model_without_weights(tokenizer: Any, random_model: Any, tmp_path: Path) -> Path:
    """A model's folder as far as a stage reads it whose backend is scripted: tokenizer and sizes."""
    tokenizer.save_pretrained(tmp_path / "model")
    random_model.config.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(params=[None, 5], ids=["batch by batch", "any mixture"])
def backend(tokenizer: Any, monkeypatch: pytest.MonkeyPatch, request: Any) -> SeededBackend:
    backend = SeededBackend(tokenizer, request.param)

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[SeededBackend]:
        yield backend

    monkeypatch.setattr(open_agents, "open_backend", opened)
    for module in (task_generation, sandboxed_execution):  # the script writes no programs
        monkeypatch.setattr(module, "open_sandbox", lambda *_, **__: nullcontext(NoSandbox()))
    return backend


@pytest.fixture
def generate(model_without_weights: Path, tmp_path: Path) -> Callable[..., StageResult]:
    """A function that runs the stage into a folder."""

    def run(name: str, share: Share = ALONE, conditioning: ConditioningSettings = FREE, **changes: Any) -> StageResult:
        stage = Stage.untracked("task_generation", seed=5)
        result = run_task_generation(
            stage,
            curriculum_model=model_without_weights,
            executor_model=model_without_weights,
            history=tmp_path / "history",
            output=tmp_path / name,
            rollout=TINY.rollout,
            sandbox=SANDBOX,
            curriculum=TINY.curriculum.model_copy(update={"conditioning": conditioning}),
            generation=GENERATION.model_copy(update=changes),
            share=share,
        )
        stage.finish(result, tmp_path / name)
        return result

    return run


@pytest.fixture(scope="session")
def _counter() -> Iterator[VoteCounter]:
    with VoteCounter() as counter:
        yield counter


@pytest.fixture
def one_counter(_counter: VoteCounter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one process count the votes of all runs: to start it takes longer than a run."""
    monkeypatch.setattr(sandboxed_execution, "VoteCounter", lambda: nullcontext(_counter))


@pytest.fixture
def execute(model_without_weights: Path, tmp_path: Path) -> Callable[..., StageResult]:
    """A function that runs the stage into a folder; the trajectories go beside it, `first` is the first executor."""
    tasks = [Task(id=f"t{number:02d}", iteration=1, question=question) for number, question in enumerate(QUESTIONS)]
    write_shards(tmp_path / "tasks" / TASKS_FOLDER, tasks, Task)

    def run(
        name: str,
        share: Share = ALONE,
        first: Path = model_without_weights,
        rollout: RolloutSettings = TINY.rollout,
        **changes: Any,
    ) -> StageResult:
        stage = Stage.untracked("sandboxed_execution", seed=5)
        result = run_sandboxed_execution(
            stage,
            executor_model=model_without_weights,
            first_executor_model=first,
            tasks=tmp_path / "tasks",
            output=tmp_path / name,
            trajectories=tmp_path / f"{name}-trajectories",
            rollout=rollout,
            sandbox=SANDBOX,
            execution=EXECUTION.model_copy(update=changes),
            tracking=TrackingSettings(trajectories=9),
            share=share,
        )
        stage.finish(result, tmp_path / name)
        return result

    return run
