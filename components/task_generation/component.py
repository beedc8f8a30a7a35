"""The component `task_generation`: draw proposals from the trained curriculum agent."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output


def task_generation(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    curriculum_model: Input[Model],
    executor_model: Input[Model],
    history: Input[Artifact],
    tasks: Output[Dataset],
    metrics: Output[Metrics],
    pod: int = 0,
    pods: int = 1,
):
    """Keep the valid, distinct questions and count the rest by reason; of several pods, draw one pod's shards."""
    from agent0.stages import run_stage
    from agent0.stages.sharding import Share
    from agent0.stages.task_generation import run_task_generation

    inputs = {"curriculum_model": curriculum_model, "executor_model": executor_model, "history": history}
    more = {"share": Share(pod, pods), "part": Share(pod, pods).part}
    run_stage(run_task_generation, config, iteration, mlflow_run_id, inputs, tasks, metrics, **more)
