"""The component `curriculum_training`: train the curriculum agent against the frozen executor."""

from kfp.dsl import Input, Metrics, Model, Output, TaskConfig


def curriculum_training(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    model: dict,
    rollout: dict,
    sandbox: dict,
    curriculum: dict,
    training: dict,
    tracking: dict,
    image: str,
    curriculum_model: Input[Model],
    executor_model: Input[Model],
    trained: Output[Model],
    metrics: Output[Metrics],
    task_config: TaskConfig,
):
    """Reward proposals by the executor's uncertainty and tool use, less repetition, and register the result."""
    from pathlib import Path

    from agent0.config import (
        CurriculumSettings,
        ModelSettings,
        RolloutSettings,
        SandboxSettings,
        TrackingSettings,
        TrainingSettings,
        parse_section,
    )
    from agent0.stages import open_stage
    from agent0.stages.curriculum_training import Nodes, run_curriculum_training

    settings = {
        "model": parse_section(ModelSettings, model),
        "rollout": parse_section(RolloutSettings, rollout),
        "sandbox": parse_section(SandboxSettings, sandbox),
        "curriculum": parse_section(CurriculumSettings, curriculum),
        "training": parse_section(TrainingSettings, training),
        "tracking": parse_section(TrackingSettings, tracking),
    }
    inputs = {"curriculum_model": Path(curriculum_model.path), "executor_model": Path(executor_model.path)}
    nodes = Nodes(image, vars(task_config))
    with open_stage(
        "curriculum_training",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_curriculum_training(
            stage, output=Path(trained.path), output_uri=trained.uri, nodes=nodes, **inputs, **settings
        )
        stage.finish(result, Path(trained.path), metrics)
