"""Stage: train the curriculum agent against the frozen executor."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent0.config import (
    CurriculumSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrackingSettings,
    TrainingSettings,
)
from agent0.stages.lineage import origin_of
from agent0.stages.session import Stage, StageResult
from agent0.stages.stage_files import KEPT_FOLDER, QUESTIONS_FOLDER
from agent0.stages.training_stage import run_training
from agent0.training.shared_volume import Nodes as Nodes  # components take it from here

HEADLINE = ("reward", "proposals/valid", "executor/self_consistency")


def run_curriculum_training(
    stage: Stage,
    *,
    curriculum_model: Path,
    executor_model: Path,
    history: Path,
    output: Path,
    output_uri: str,
    model: ModelSettings,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    curriculum: CurriculumSettings,
    training: TrainingSettings,
    tracking: TrackingSettings,
    nodes: Nodes | None = None,
) -> StageResult:
    """Write the trained curriculum agent to `output`, which is stored at `output_uri`, and register it.

    Its reward is the frozen executor's uncertainty and tool use. From `history` come the questions that it is shown as
    examples, and those that it shall not repeat, where the settings ask for either.

    Raises:
        PreemptedError: the stage was asked to stop; run again, it goes on.
        GuardTripped: the training went wrong.
    """
    if curriculum.steps:
        result = run_training(
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
            earlier_tasks=history / KEPT_FOLDER if curriculum.conditioning.examples else None,
            earlier_questions=history / QUESTIONS_FOLDER if curriculum.reward.archive_weight else None,
            nodes=nodes,
        )
    else:
        shutil.copytree(curriculum_model, output, dirs_exist_ok=True)
        result = StageResult({})
    stage.tracker.register_model(
        tracking.registered_curriculum, output, output_uri, origin_of(stage, output, curriculum_model)
    )
    return result
