"""The component `curriculum_training`: train the curriculum agent against the frozen executor."""

from kfp.dsl import Artifact, Input, Metrics, Model, Output, TaskConfig


def curriculum_training(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    image: str,
    curriculum_model: Input[Model],
    executor_model: Input[Model],
    history: Input[Artifact],
    trained: Output[Model],
    metrics: Output[Metrics],
    task_config: TaskConfig,
):
    """Reward proposals by the executor's uncertainty and tool use, less repetition, and register the result."""
    from agent0.stages import run_stage
    from agent0.stages.curriculum_training import Nodes, run_curriculum_training

    inputs = {"curriculum_model": curriculum_model, "executor_model": executor_model, "history": history}
    nodes = Nodes(image, vars(task_config))
    run_stage(run_curriculum_training, config, iteration, mlflow_run_id, inputs, trained, metrics, nodes=nodes)
