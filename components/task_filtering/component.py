"""The component `task_filtering`: keep the tasks at the executor's frontier."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Output


def task_filtering(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    labelled: Input[Dataset],
    history: Input[Artifact],
    kept: Output[Dataset],
    metrics: Output[Metrics],
):
    """Keep tasks whose self-consistency lies in the band and that the gates let pass."""
    from agent0.stages import run_stage
    from agent0.stages.task_filtering import run_task_filtering

    inputs = {"labelled": labelled, "history": history}
    run_stage(run_task_filtering, config, iteration, mlflow_run_id, inputs, kept, metrics)
