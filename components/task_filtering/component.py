"""The component `task_filtering`: keep the tasks at the executor's frontier."""

from kfp.dsl import Dataset, Input, Metrics, Output


def task_filtering(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    filtering: dict,
    evaluation: dict,
    labelled: Input[Dataset],
    kept: Output[Dataset],
    metrics: Output[Metrics],
):
    """Keep tasks whose self-consistency lies in the band."""
    from pathlib import Path

    from agent0.config import EvaluationSettings, FilteringSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.task_filtering import run_task_filtering

    settings = {
        "filtering": parse_section(FilteringSettings, filtering),
        "evaluation": parse_section(EvaluationSettings, evaluation),
    }
    inputs = {
        "labelled": Path(labelled.path),
    }
    with open_stage(
        "task_filtering",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_task_filtering(stage, output=Path(kept.path), **inputs, **settings)
        stage.finish(result, Path(kept.path), metrics)
