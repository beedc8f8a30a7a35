"""The component `execution_collection`: bring together the tasks that several pods labelled."""

from kfp.dsl import Dataset, Input, Metrics, Output


def execution_collection(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    parts: Input[list[Dataset]],
    labelled: Output[Dataset],
    metrics: Output[Metrics],
):
    """Sum up the votes of all pods, without touching their trajectories."""
    from pathlib import Path

    from agent0.stages import open_stage
    from agent0.stages.execution_collection import run_execution_collection

    folders = [Path(part.path) for part in parts]
    with open_stage(
        "execution_collection",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        inputs={f"part_{number}": folder for number, folder in enumerate(folders)},
    ) as stage:
        result = run_execution_collection(stage, parts=folders, output=Path(labelled.path))
        stage.finish(result, Path(labelled.path), metrics)
