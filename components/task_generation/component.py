"""The component `task_generation`: draw proposals from the trained curriculum agent."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def task_generation(
    seed: int,
    iteration: int,
    mlflow_run_id: str,
    rollout: dict,
    sandbox: dict,
    curriculum: dict,
    generation: dict,
    curriculum_model: Input[Model],
    executor_model: Input[Model],
    tasks: Output[Dataset],
    metrics: Output[Metrics],
    pod: int = 0,
    pods: int = 1,
):
    """Keep the valid, distinct questions and count the rest by reason; of several pods, draw one pod's shards."""
    from pathlib import Path

    from agent0.config import CurriculumSettings, GenerationSettings, RolloutSettings, SandboxSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.sharding import Share
    from agent0.stages.task_generation import run_task_generation

    settings = {
        "rollout": parse_section(RolloutSettings, rollout),
        "sandbox": parse_section(SandboxSettings, sandbox),
        "curriculum": parse_section(CurriculumSettings, curriculum),
        "generation": parse_section(GenerationSettings, generation),
    }
    share = Share(pod, pods)
    inputs = {
        "curriculum_model": Path(curriculum_model.path),
        "executor_model": Path(executor_model.path),
    }
    with open_stage(
        "task_generation",
        iteration=iteration,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
        part=share.part,
    ) as stage:
        result = run_task_generation(stage, output=Path(tasks.path), share=share, **inputs, **settings)
        stage.finish(result, Path(tasks.path), metrics)
