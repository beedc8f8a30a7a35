"""The component `task_filtering`: keep the tasks at the executor's frontier."""

from kfp.dsl import Dataset, Input, Metrics, Output


def task_filtering(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    labelled: Input[Dataset],
    kept: Output[Dataset],
    metrics: Output[Metrics],
):
    """Keep tasks whose self-consistency lies in the band."""
    from agent0.stages import run_stage
    from agent0.stages.task_filtering import run_task_filtering

    run_stage(run_task_filtering, config, iteration, mlflow_run_id, {"labelled": labelled}, kept, metrics)
