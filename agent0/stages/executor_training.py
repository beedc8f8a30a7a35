"""Stage: train the executor agent by ADPO on the kept tasks."""

from __future__ import annotations

from pathlib import Path

from agent0.config import ExecutorSettings, ModelSettings, RolloutSettings, SandboxSettings, TrackingSettings
from agent0.errors import Agent0Error
from agent0.protocol import get_prompts
from agent0.rollout.models import load_model, save_model
from agent0.sandbox import SandboxPool
from agent0.stages.agents import seed_everything
from agent0.stages.files import TASKS_FILE
from agent0.stages.session import Stage, StageResult
from agent0.stages.training_log import last_steps, step_logger
from agent0.storage.digest import code_version, folder_digest
from agent0.training.executor import train_executor
from agent0.types import LabelledTask, read_records

HEADLINE = ("reward", "rollout/tool_calls", "clip_ratio/region_mean")


def run_executor_training(
    stage: Stage,
    *,
    executor_model: Path,
    tasks: Path,
    output: Path,
    model: ModelSettings,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    executor: ExecutorSettings,
    tracking: TrackingSettings,
) -> StageResult:
    """Write the trained executor to `output` and register it with its lineage.

    Raises:
        Agent0Error: there are fewer tasks than one batch needs.
    """
    seed_everything(stage.seed)
    weights, tokenizer = load_model(executor_model, model.dtype)
    kept = read_records(tasks / TASKS_FILE, LabelledTask)
    if executor.steps and len(kept) < executor.tasks_per_step:
        raise Agent0Error(
            f"Only {len(kept)} tasks were kept but executor.tasks_per_step is {executor.tasks_per_step}; lower it, "
            "generate more proposals (generation.proposals) or widen the band (filtering)."
        )
    log: list[dict[str, float]] = []
    if executor.steps:
        with SandboxPool(sandbox) as pool:
            log = train_executor(
                model=weights,
                tokenizer=tokenizer,
                tasks=kept,
                prompts=get_prompts(rollout),
                sandbox=pool,
                settings=executor,
                rollout=rollout,
                seed=stage.seed,
                output=output.with_name(f"{output.name}.trainer"),
                log=step_logger(stage, "executor", executor.steps * executor.updates_per_step, HEADLINE),
            )
    save_model(weights, tokenizer, output)
    stage.tracker.register_model(
        tracking.registered_executor,
        output,
        {
            "iteration": str(stage.iteration),
            "code_version": code_version(),
            "model_sha256": folder_digest(output),
            "parent_sha256": folder_digest(executor_model),
            "tasks_sha256": folder_digest(tasks),
        },
    )
    return StageResult(last_steps(log, "executor", HEADLINE), log=log)
