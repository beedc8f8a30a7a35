"""The component `warm_start`: teach the base model the protocol, before any round."""

from kfp.dsl import Input, Metrics, Model, Output


def warm_start(
    seed: int,
    mlflow_run_id: str,
    rollout: dict,
    sandbox: dict,
    warm_start: dict,
    training: dict,
    base: Input[Model],
    warm: Output[Model],
    metrics: Output[Metrics],
):
    """Train the base model on demonstrations, or on its own valid transcripts."""
    from pathlib import Path

    from agent0.config import RolloutSettings, SandboxSettings, TrainingSettings, WarmStartSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.warm_start import run_warm_start

    settings = {
        "rollout": parse_section(RolloutSettings, rollout),
        "sandbox": parse_section(SandboxSettings, sandbox),
        "warm_start": parse_section(WarmStartSettings, warm_start),
        "training": parse_section(TrainingSettings, training),
    }
    inputs = {"base_model": Path(base.path)}
    with open_stage(
        "warm_start",
        iteration=0,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs=inputs,
    ) as stage:
        result = run_warm_start(stage, output=Path(warm.path), **inputs, **settings)
        stage.finish(result, Path(warm.path), metrics)
