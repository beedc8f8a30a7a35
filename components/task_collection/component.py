"""The component `task_collection`: make tasks of the proposals that several pods drew."""

from kfp.dsl import Dataset, Input, Metrics, Output


def task_collection(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    parts: Input[list[Dataset]],
    tasks: Output[Dataset],
    metrics: Output[Metrics],
):
    """Keep the valid, distinct questions of all pods and count the rest by reason."""
    from agent0.stages import run_stage
    from agent0.stages.task_collection import run_task_collection

    run_stage(run_task_collection, config, iteration, mlflow_run_id, {"parts": parts}, tasks, metrics)
