"""The component `base_evaluation`: score the base model on held-out benchmarks, unless that is known already."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def base_evaluation(
    seed: int,
    mlflow_run_id: str,
    rollout: dict,
    sandbox: dict,
    evaluation: dict,
    known_from: str,
    base: Input[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
):
    """Measure what the executor starts from."""
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
        "executor_model": Path(base.path),
    }
    with open_stage(
        "benchmark_evaluation",
        iteration=0,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_benchmark_evaluation(stage, output=Path(scores.path), known_from=known_from, **inputs, **settings)
        stage.finish(result, Path(scores.path), metrics)
