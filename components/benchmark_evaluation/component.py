"""The component `benchmark_evaluation`: score an executor on held-out benchmarks."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def benchmark_evaluation(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    rollout: dict,
    sandbox: dict,
    evaluation: dict,
    executor_model: Input[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
):
    """Measure accuracy with confidence intervals, by difficulty level."""
    from pathlib import Path

    from agent0.config import EvaluationSettings, RolloutSettings, SandboxSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.benchmark_evaluation import run_benchmark_evaluation

    settings = {
        "rollout": parse_section(RolloutSettings, rollout),
        "sandbox": parse_section(SandboxSettings, sandbox),
        "evaluation": parse_section(EvaluationSettings, evaluation),
    }
    inputs = {
        "executor_model": Path(executor_model.path),
    }
    with open_stage(
        "benchmark_evaluation",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_benchmark_evaluation(stage, output=Path(scores.path), **inputs, **settings)
        stage.finish(result, Path(scores.path), metrics)
