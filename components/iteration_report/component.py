"""The component `iteration_report`: add an iteration to the history and draw the report."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output


def iteration_report(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
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
    from agent0.stages import run_stage
    from agent0.stages.iteration_report import run_iteration_report

    inputs = {"history": history, "base_evaluation": base_evaluation, "evaluation": evaluation, "kept": kept}
    inputs |= {"curriculum_model": curriculum_model, "tasks": tasks, "labelled": labelled}
    inputs |= {"executor_model": executor_model}
    run_stage(run_iteration_report, config, iteration, mlflow_run_id, inputs, grown, metrics)
    return iteration + 1
