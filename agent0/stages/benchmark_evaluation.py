"""Stage: score an executor on held-out benchmarks."""

from __future__ import annotations

from pathlib import Path

from agent0.config import EvaluationSettings, RolloutSettings, SandboxSettings
from agent0.evaluation.arithmetic import evaluate_arithmetic
from agent0.sandbox import SandboxPool
from agent0.stages.agents import open_executor, seed_everything
from agent0.stages.files import SCORES_FILE
from agent0.stages.session import Stage, StageResult
from agent0.storage.atomic import write_json
from agent0.tiny.grammar import LEVELS


def run_benchmark_evaluation(
    stage: Stage,
    *,
    executor_model: Path,
    output: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    evaluation: EvaluationSettings,
) -> StageResult:
    """Write the executor's scores by difficulty level to `output`."""
    seed_everything(stage.seed)
    total = len(LEVELS) * evaluation.questions_per_level * evaluation.samples
    with (
        SandboxPool(sandbox) as pool,
        open_executor(executor_model, pool, rollout, evaluation.sampling, log=output) as executor,
    ):
        scores = evaluate_arithmetic(
            executor, evaluation, stage.seed, lambda done: stage.progress.step(done, total, "trajectories")
        )
    write_json(output / SCORES_FILE, scores.model_dump())
    metrics = {
        "executor/accuracy": scores.accuracy,
        "executor/accuracy_low": scores.ci_low,
        "executor/accuracy_high": scores.ci_high,
        "executor/tool_calls": scores.tool_calls,
        "executor/self_consistency": scores.self_consistency,
        **{f"executor/accuracy_{name}": level.accuracy for name, level in scores.levels.items()},
    }
    return StageResult(metrics).with_metrics(executor.throughput.metrics())
