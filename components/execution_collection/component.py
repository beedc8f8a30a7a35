"""The component `execution_collection`: bring together the tasks that several pods labelled."""

from kfp.dsl import Dataset, Input, Metrics, Output


def execution_collection(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    parts: Input[list[Dataset]],
    labelled: Output[Dataset],
    metrics: Output[Metrics],
):
    """Sum up the votes of all pods, without touching their trajectories."""
    from agent0.stages import run_stage
    from agent0.stages.execution_collection import run_execution_collection

    run_stage(run_execution_collection, config, iteration, mlflow_run_id, {"parts": parts}, labelled, metrics)
