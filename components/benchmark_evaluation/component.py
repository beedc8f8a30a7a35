"""The component `benchmark_evaluation`: score an executor on held-out benchmarks."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def benchmark_evaluation(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    executor_model: Input[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
    benchmark: str = "",
):
    """Measure accuracy with confidence intervals, by difficulty level."""
    from agent0.stages import run_stage
    from agent0.stages.benchmark_evaluation import run_benchmark_evaluation

    if benchmark:
        config = {**config, "evaluation": {**config["evaluation"], "benchmarks": [benchmark]}}
    inputs = {"executor_model": executor_model}
    run_stage(run_benchmark_evaluation, config, iteration, mlflow_run_id, inputs, scores, metrics)
