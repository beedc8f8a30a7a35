"""The component `iteration_report`: add an iteration to the history and draw the report."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output


def iteration_report(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    curriculum: dict,
    history: Input[Artifact],
    base_evaluation: Input[Dataset],
    evaluation: Input[Dataset],
    curriculum_model: Input[Model],
    tasks: Input[Dataset],
    labelled: Input[Dataset],
    kept: Input[Dataset],
    executor_model: Input[Model],
    grown: Output[Artifact],
    metrics: Output[Metrics],
) -> int:
    """Write history, report and summary of everything finished so far; return the number of the next round."""
    from pathlib import Path

    from agent0.config import CurriculumSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.iteration_report import run_iteration_report

    settings = {"curriculum": parse_section(CurriculumSettings, curriculum)}
    inputs = {
        "history": Path(history.path),
        "base_evaluation": Path(base_evaluation.path),
        "evaluation": Path(evaluation.path),
        "curriculum_model": Path(curriculum_model.path),
        "tasks": Path(tasks.path),
        "labelled": Path(labelled.path),
        "kept": Path(kept.path),
        "executor_model": Path(executor_model.path),
    }
    with open_stage(
        "iteration_report",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_iteration_report(stage, output=Path(grown.path), **inputs, **settings)
        stage.finish(result, Path(grown.path), metrics)
    return iteration + 1
