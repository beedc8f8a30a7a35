"""The component `base_evaluation`: score the base model on held-out benchmarks, unless that is known already."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def base_evaluation(
    config: dict,
    mlflow_run_id: str,
    known_from: str,
    base: Input[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
):
    """Measure what the executor starts from."""
    from agent0.stages import run_stage
    from agent0.stages.benchmark_evaluation import run_benchmark_evaluation

    inputs = {"executor_model": base}
    run_stage(run_benchmark_evaluation, config, 0, mlflow_run_id, inputs, scores, metrics, known_from=known_from)
