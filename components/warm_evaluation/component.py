"""The component `warm_evaluation`: score the model after its warm start, beside the base model's scores."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def warm_evaluation(
    config: dict,
    mlflow_run_id: str,
    known_from: str,
    base_scores: Input[Dataset],
    warm: Input[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
):
    """Measure what the executor starts from, and keep what it was before."""
    from agent0.stages import run_stage
    from agent0.stages.benchmark_evaluation import run_benchmark_evaluation

    inputs = {"executor_model": warm, "before": base_scores}
    more = {"name": "warm_evaluation", "known_from": known_from}
    run_stage(run_benchmark_evaluation, config, 0, mlflow_run_id, inputs, scores, metrics, **more)
