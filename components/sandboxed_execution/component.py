"""The component `sandboxed_execution`: solve every task k times with the tool, and vote."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output


def sandboxed_execution(
    config: dict,
    iteration: int,
    mlflow_run_id: str,
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
    from agent0.stages import run_stage
    from agent0.stages.sandboxed_execution import run_sandboxed_execution
    from agent0.stages.sharding import Share

    inputs = {"executor_model": executor_model, "first_executor_model": first_executor_model, "tasks": tasks}
    more = {"trajectories": trajectories, "share": Share(pod, pods), "part": Share(pod, pods).part}
    run_stage(run_sandboxed_execution, config, iteration, mlflow_run_id, inputs, labelled, metrics, **more)
