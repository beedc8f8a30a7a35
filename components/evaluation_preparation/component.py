"""The component `evaluation_preparation`: check an evaluation, open its run, and divide it by benchmark."""

from kfp.dsl import OutputPath


def evaluation_preparation(
    name: str,
    seed: int,
    champion: str,
    model: dict,
    rollout: dict,
    sandbox: dict,
    evaluation: dict,
    gate: dict,
    tracking: dict,
    job: str,
    mlflow_run_id: OutputPath(str),
    resolved_model: OutputPath(dict),
    resolved_champion: OutputPath(str),
) -> list[dict]:
    """Fail before any GPU is asked for if a setting is wrong; return section `evaluation` by benchmark."""
    from pathlib import Path

    from agent0.config import (
        EvaluationSettings,
        ModelSettings,
        RolloutSettings,
        SandboxSettings,
        TrackingSettings,
        parse_section,
    )
    from agent0.evaluation.gate import GateSettings
    from agent0.progress import reported
    from agent0.stages.evaluation_preparation import prepare_evaluation

    with reported("evaluation_preparation", 0) as progress:
        parse_section(RolloutSettings, rollout)
        parse_section(SandboxSettings, sandbox)
        prepared = prepare_evaluation(
            name,
            seed,
            champion,
            parse_section(ModelSettings, model),
            parse_section(EvaluationSettings, evaluation),
            parse_section(GateSettings, gate),
            parse_section(TrackingSettings, tracking),
            job,
        )
        Path(mlflow_run_id).write_text(prepared.run_id, encoding="utf-8")
        Path(resolved_model).write_text(prepared.model.model_dump_json(), encoding="utf-8")
        Path(resolved_champion).write_text(prepared.champion, encoding="utf-8")
        for warning in prepared.warnings:
            progress.warn(warning)
        progress.end(f"MLflow run {prepared.run_id}, {len(prepared.by_benchmark)} benchmarks")
    return prepared.by_benchmark
