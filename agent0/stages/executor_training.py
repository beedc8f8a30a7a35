"""Stage: train the executor agent by ADPO on the kept tasks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from agent0.config import (
    ExecutionSettings,
    ExecutorSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrackingSettings,
    TrainingSettings,
)
from agent0.errors import Agent0Error
from agent0.stages.executor_guard import guard_training
from agent0.stages.lineage import origin_of
from agent0.stages.mlflow_evidence import log_tasks
from agent0.stages.session import Stage, StageResult
from agent0.stages.stage_files import ANCHORS_FOLDER, KEPT_FOLDER, NEGATIVES_FOLDER, TASKS_FOLDER
from agent0.stages.training_stage import run_training
from agent0.storage.shards import count_records
from agent0.training.shared_volume import Nodes as Nodes  # components take it from here
from agent0.types import LabelledTask

HEADLINE = ("reward", "rollout/tool_calls", "clip_ratio/region_mean")


def run_executor_training(
    stage: Stage,
    *,
    executor_model: Path,
    tasks: Path,
    history: Path,
    output: Path,
    output_uri: str,
    model: ModelSettings,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    execution: ExecutionSettings,
    executor: ExecutorSettings,
    training: TrainingSettings,
    tracking: TrackingSettings,
    nodes: Nodes | None = None,
) -> StageResult:
    """Write the trained executor to `output`, which is stored at `output_uri`, and register it with its lineage.

    With `executor.pools` batches are drawn by difficulty, and may hold tasks that iterations in `history` kept. With
    `executor.guard_samples` it is the one before, where the training did harm (`agent0.stages.executor_guard`).

    Raises:
        Agent0Error: there are fewer tasks than one batch needs.
        PreemptedError: the stage was asked to stop; run again, it goes on.
        GuardTripped: the training went wrong.
    """
    pools = executor.pools
    kept = count_records(LabelledTask, tasks / TASKS_FOLDER)
    if executor.steps and kept < executor.tasks_per_step:
        raise Agent0Error(
            f"Only {kept} tasks were kept but executor.tasks_per_step is {executor.tasks_per_step}; lower it, "
            "generate more proposals (generation.proposals) or widen the band (filtering)."
        )
    log_tasks(stage, "tasks-kept", tasks / TASKS_FOLDER, kept, "training")
    if executor.steps:
        result = run_training(
            stage,
            base=executor_model,
            output=output,
            model=model,
            rollout=rollout,
            sandbox=sandbox,
            algorithm=executor,
            training=training,
            headline=HEADLINE,
            tasks=tasks / TASKS_FOLDER,
            negative_tasks=tasks / NEGATIVES_FOLDER if pools.enabled and pools.negative_share else None,
            anchor_tasks=tasks / ANCHORS_FOLDER,
            earlier_tasks=history / KEPT_FOLDER if pools.enabled and pools.earlier_share else None,
            nodes=nodes,
        )
        if executor.guard_samples:
            guarded = guard_training(
                stage,
                before=executor_model,
                trained=output,
                samples=executor.guard_samples,
                rollout=rollout,
                sandbox=sandbox,
                execution=execution,
            )
            result = replace(result.with_metrics(guarded.metrics), warnings=guarded.warnings)
    else:
        shutil.copytree(executor_model, output, dirs_exist_ok=True)
        result = StageResult({})
    stage.tracker.register_model(
        tracking.registered_executor,
        output,
        output_uri,
        origin_of(stage, output, executor_model, tasks),
    )
    return result
