"""The component `executor_training`: train the executor agent by ADPO on the kept tasks."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output, TaskConfig


def executor_training(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    model: dict,
    rollout: dict,
    sandbox: dict,
    executor: dict,
    training: dict,
    image: str,
    tracking: dict,
    executor_model: Input[Model],
    tasks: Input[Dataset],
    trained: Output[Model],
    metrics: Output[Metrics],
    task_config: TaskConfig,
):
    """Train with the vote as the label, and register the result."""
    from pathlib import Path

    from agent0.config import (
        ExecutorSettings,
        ModelSettings,
        RolloutSettings,
        SandboxSettings,
        TrackingSettings,
        TrainingSettings,
        parse_section,
    )
    from agent0.stages import open_stage
    from agent0.stages.executor_training import Nodes, run_executor_training

    settings = {
        "model": parse_section(ModelSettings, model),
        "rollout": parse_section(RolloutSettings, rollout),
        "sandbox": parse_section(SandboxSettings, sandbox),
        "executor": parse_section(ExecutorSettings, executor),
        "training": parse_section(TrainingSettings, training),
        "tracking": parse_section(TrackingSettings, tracking),
    }
    inputs = {
        "executor_model": Path(executor_model.path),
        "tasks": Path(tasks.path),
    }
    nodes = Nodes(image, vars(task_config))
    with open_stage(
        "executor_training",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_executor_training(
            stage, output=Path(trained.path), output_uri=trained.uri, nodes=nodes, **inputs, **settings
        )
        stage.finish(result, Path(trained.path), metrics)
