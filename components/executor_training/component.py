"""The component `executor_training`: train the executor agent by ADPO on the kept tasks."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output, TaskConfig


def executor_training(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
    image: str,
    executor_model: Input[Model],
    tasks: Input[Dataset],
    history: Input[Artifact],
    trained: Output[Model],
    metrics: Output[Metrics],
    task_config: TaskConfig,
):
    """Train with the vote as the label, and register the result."""
    from agent0.stages import run_stage
    from agent0.stages.executor_training import Nodes, run_executor_training

    inputs = {"executor_model": executor_model, "tasks": tasks, "history": history}
    nodes = Nodes(image, vars(task_config))
    run_stage(run_executor_training, config, iteration, mlflow_run_id, inputs, trained, metrics, nodes=nodes)
