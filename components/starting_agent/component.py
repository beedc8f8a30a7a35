"""The component `starting_agent`: provide the agent that the first round begins with."""

from kfp.dsl import Input, Metrics, Model, Output


def starting_agent(
    seed: int,
    mlflow_run_id: str,
    role: str,
    uri: str,
    model: dict,
    base: Input[Model],
    agent: Output[Model],
    metrics: Output[Metrics],
):
    """Fetch the agent of an earlier evolution, or take the base model."""
    from pathlib import Path

    from agent0.config import ModelSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.starting_agent import provide_starting_agent

    settings = {"model": parse_section(ModelSettings, model)}
    inputs = {"base": Path(base.path)}
    with open_stage(
        f"starting_{role}", iteration=0, seed=seed, mlflow_run_id=mlflow_run_id, settings=settings, inputs=inputs
    ) as stage:
        result = provide_starting_agent(stage, Path(base.path), uri, Path(agent.path), settings["model"])
        stage.finish(result, Path(agent.path), metrics)
