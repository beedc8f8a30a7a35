"""The component `base_model`: provide the model that both agents grow from."""

from kfp.dsl import Metrics, Model, Output


def base_model(
    seed: int,
    mlflow_run_id: str,
    model: dict,
    base: Output[Model],
    metrics: Output[Metrics],
):
    """Train the embedded model or fetch the configured one."""
    from pathlib import Path

    from agent0.config import ModelSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.base_model import provide_base_model

    settings = {"model": parse_section(ModelSettings, model)}
    with open_stage("base_model", iteration=0, seed=seed, mlflow_run_id=mlflow_run_id, settings=settings) as stage:
        result = provide_base_model(stage, Path(base.path), settings["model"])
        stage.finish(result, Path(base.path), metrics)
