"""The component `task_collection`: make tasks of the proposals that several pods drew."""

from kfp.dsl import Dataset, Input, Metrics, Output


def task_collection(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    rollout: dict,
    curriculum: dict,
    parts: Input[list[Dataset]],
    tasks: Output[Dataset],
    metrics: Output[Metrics],
):
    """Keep the valid, distinct questions of all pods and count the rest by reason."""
    from pathlib import Path

    from agent0.config import CurriculumSettings, RolloutSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.task_collection import run_task_collection

    settings = {
        "rollout": parse_section(RolloutSettings, rollout),
        "curriculum": parse_section(CurriculumSettings, curriculum),
    }
    folders = [Path(part.path) for part in parts]
    with open_stage(
        "task_collection",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs={f"part_{number}": folder for number, folder in enumerate(folders)},
    ) as stage:
        result = run_task_collection(stage, parts=folders, output=Path(tasks.path), **settings)
        stage.finish(result, Path(tasks.path), metrics)
