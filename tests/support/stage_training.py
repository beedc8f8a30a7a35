"""A training job, run by its stage."""

from __future__ import annotations

from typing import Any

from agent0.config import CurriculumSettings
from agent0.stages import Stage, StageResult
from agent0.stages.training_stage import run_training
from agent0.training.training_job import TrainingJob


def train_in_stage(job: TrainingJob, stage: Stage | None = None, **changes: Any) -> StageResult:
    """Train a job as its stage does, servers and processes included; keywords replace what the stage is given."""
    algorithm = changes.get("algorithm", job.algorithm)
    proposes = isinstance(algorithm, CurriculumSettings)
    given = {
        "base": job.base,
        "output": job.output,
        "model": job.model,
        "rollout": job.rollout,
        "sandbox": job.sandbox,
        "algorithm": algorithm,
        "training": job.training,
        "headline": (),
        "tasks": None if proposes else job.tasks,
        "frozen_executor": job.base if proposes else None,
    }
    return run_training(
        stage or Stage.untracked(f"{'curriculum' if proposes else 'executor'}_training"), **given | changes
    )
