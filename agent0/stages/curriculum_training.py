"""Stage: train the curriculum agent against the frozen executor."""

from __future__ import annotations

from pathlib import Path

from agent0.config import CurriculumSettings, ModelSettings, RolloutSettings, SandboxSettings
from agent0.protocol import get_prompts
from agent0.rollout.models import load_model, save_model
from agent0.sandbox import SandboxPool
from agent0.stages.agents import open_executor, seed_everything
from agent0.stages.session import Stage, StageResult
from agent0.stages.training_log import last_steps, step_logger
from agent0.training.curriculum import ExecutorInTheLoopReward, train_curriculum
from agent0.worlds import get_world

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
) -> StageResult:
    """Write the trained curriculum agent to `output`; its reward is the frozen executor's uncertainty and tool use."""
    seed_everything(stage.seed)
    weights, tokenizer = load_model(curriculum_model, model.dtype)
    log: list[dict[str, float]] = []
    if curriculum.steps:
        with (
            SandboxPool(sandbox) as pool,
            open_executor(executor_model, pool, rollout, curriculum.executor_sampling, log=output) as executor,
        ):
            log = train_curriculum(
                model=weights,
                tokenizer=tokenizer,
                reward=ExecutorInTheLoopReward(executor, get_world(rollout.world), curriculum, stage.seed),
                prompts=get_prompts(rollout),
                sandbox=pool,
                settings=curriculum,
                rollout=rollout.for_proposer(),
                seed=stage.seed,
                output=output.with_name(f"{output.name}.trainer"),
                log=step_logger(stage, "curriculum", curriculum.steps * curriculum.updates_per_step, HEADLINE),
            )
    save_model(weights, tokenizer, output)
    return StageResult(last_steps(log, "curriculum", HEADLINE), log=log)
