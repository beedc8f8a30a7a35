"""Stage: train the curriculum agent against the frozen executor."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent0.config import CurriculumSettings, ModelSettings, RolloutSettings, SandboxSettings, TrainingSettings
from agent0.stages.session import Stage, StageResult
from agent0.stages.training import run_training

HEADLINE = ("reward", "proposals/valid", "executor/self_consistency")


def run_curriculum_training(
    stage: Stage,
    *,
    curriculum_model: Path,
    executor_model: Path,
    output: Path,
    model: ModelSettings,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    curriculum: CurriculumSettings,
    training: TrainingSettings,
) -> StageResult:
    """Write the trained curriculum agent to `output`; its reward is the frozen executor's uncertainty and tool use.

    Raises:
        PreemptedError: the stage was asked to stop; run again, it goes on.
        GuardTripped: the training went wrong.
    """
    if not curriculum.steps:
        shutil.copytree(curriculum_model, output, dirs_exist_ok=True)
        return StageResult({})
    return run_training(
        stage,
        base=curriculum_model,
        output=output,
        model=model,
        rollout=rollout,
        sandbox=sandbox,
        algorithm=curriculum,
        training=training,
        headline=HEADLINE,
        frozen_executor=executor_model,
    )
