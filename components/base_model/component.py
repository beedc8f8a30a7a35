"""The component `base_model`: provide the model that both agents grow from."""

from kfp.dsl import Metrics, Model, Output


def base_model(config: dict, mlflow_run_id: str, base: Output[Model], metrics: Output[Metrics]):
    """Train the embedded model or fetch the configured one."""
    from agent0.stages import run_stage
    from agent0.stages.base_model import run_base_model

    run_stage(run_base_model, config, 0, mlflow_run_id, {}, base, metrics)
