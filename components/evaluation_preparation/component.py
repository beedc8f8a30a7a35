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
    wire: int,
    config: OutputPath(dict),
    mlflow_run_id: OutputPath(str),
    resolved_champion: OutputPath(str),
) -> list[str]:
    """Fail before any GPU is asked for if a setting is wrong; return the benchmarks."""
    given = dict(locals())

    from pathlib import Path

    from agent0.config import Config
    from agent0.progress import reported
    from agent0.stages.evaluation_preparation import open_evaluation

    with reported("evaluation_preparation", 0) as progress:
        sections = {key: given[key] for key in Config.model_fields if key in given}
        prepared = open_evaluation(name, champion, sections, job, wire)
        Path(config).write_text(prepared.config.model_dump_json(), encoding="utf-8")
        Path(mlflow_run_id).write_text(prepared.run_id, encoding="utf-8")
        Path(resolved_champion).write_text(prepared.champion, encoding="utf-8")
        for warning in prepared.warnings:
            progress.warn(warning)
        progress.end(f"MLflow run {prepared.run_id}, {len(prepared.config.evaluation.benchmarks)} benchmarks")
    return list(prepared.config.evaluation.benchmarks)
