"""The component `starting_agent`: provide the agent that the first round begins with."""

from kfp.dsl import Input, Metrics, Model, Output


def starting_agent(
    config: dict,
    mlflow_run_id: str,
    role: str,
    uri: str,
    base: Input[Model],
    agent: Output[Model],
    metrics: Output[Metrics],
):
    """Fetch the agent of an earlier evolution, or take the base model."""
    from agent0.stages import run_stage
    from agent0.stages.starting_agent import run_starting_agent

    more = {"name": f"starting_{role}", "uri": uri}
    run_stage(run_starting_agent, config, 0, mlflow_run_id, {"base": base}, agent, metrics, **more)
