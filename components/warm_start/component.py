"""The component `warm_start`: teach the base model the protocol, before any round."""

from kfp.dsl import Input, Metrics, Model, Output


def warm_start(
    config: dict,
    mlflow_run_id: str,
    base: Input[Model],
    warm: Output[Model],
    metrics: Output[Metrics],
):
    """Train the base model on demonstrations, or on its own valid transcripts."""
    from agent0.stages import run_stage
    from agent0.stages.warm_start import run_warm_start

    run_stage(run_warm_start, config, 0, mlflow_run_id, {"base_model": base}, warm, metrics)
