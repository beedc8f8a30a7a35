"""The component `sandboxed_execution`: solve every task k times with the tool, and vote."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def sandboxed_execution(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    rollout: dict,
    sandbox: dict,
    execution: dict,
    tracking: dict,
    executor_model: Input[Model],
    first_executor_model: Input[Model],
    tasks: Input[Dataset],
    labelled: Output[Dataset],
    trajectories: Output[Dataset],
    metrics: Output[Metrics],
    pod: int = 0,
    pods: int = 1,
):
    """Label tasks, or one pod's shards of them, and measure their difficulty against the first executor."""
    from pathlib import Path

    from agent0.config import (
        ExecutionSettings,
        RolloutSettings,
        SandboxSettings,
        TrackingSettings,
        parse_section,
    )
    from agent0.stages import open_stage
    from agent0.stages.sandboxed_execution import run_sandboxed_execution
    from agent0.stages.sharding import Share

    share = Share(pod, pods)
    settings = {
        "rollout": parse_section(RolloutSettings, rollout),
        "sandbox": parse_section(SandboxSettings, sandbox),
        "execution": parse_section(ExecutionSettings, execution),
        "tracking": parse_section(TrackingSettings, tracking),
    }
    inputs = {
        "executor_model": Path(executor_model.path),
        "first_executor_model": Path(first_executor_model.path),
        "tasks": Path(tasks.path),
    }
    with open_stage(
        "sandboxed_execution",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
        part=share.part,
    ) as stage:
        outputs = {"output": Path(labelled.path), "trajectories": Path(trajectories.path)}
        result = run_sandboxed_execution(stage, share=share, **outputs, **inputs, **settings)
        stage.finish(result, Path(labelled.path), metrics)
