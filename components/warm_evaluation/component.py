"""The component `warm_evaluation`: score the model after its warm start, beside the base model's scores."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def warm_evaluation(
    seed: int,
    mlflow_run_id: str,
    rollout: dict,
    sandbox: dict,
    evaluation: dict,
    known_from: str,
    base_scores: Input[Dataset],
    warm: Input[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
):
    """Measure what the executor starts from, and keep what it was before."""
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
        "executor_model": Path(warm.path),
        "before": Path(base_scores.path),
    }
    with open_stage(
        "warm_evaluation",
        iteration=0,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_benchmark_evaluation(stage, output=Path(scores.path), known_from=known_from, **inputs, **settings)
        stage.finish(result, Path(scores.path), metrics)
