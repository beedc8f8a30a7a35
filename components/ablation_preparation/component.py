"""The component `ablation_preparation`: check an ablation, open its run, and list its variants."""

from kfp.dsl import OutputPath


def ablation_preparation(
    recipe: str,
    variants: list,
    seeds: list,
    group: str,
    tracking: dict,
    job: str,
    mlflow_run_id: OutputPath(str),
) -> list[dict]:
    """Fail before any GPU is asked for if a name is wrong; return each variant with each seed."""
    from pathlib import Path

    from agent0.config import TrackingSettings, parse_section
    from agent0.progress import reported
    from agent0.stages.ablation import prepare_ablation

    with reported("ablation_preparation", 0) as progress:
        run_id, runs = prepare_ablation(recipe, variants, seeds, group, parse_section(TrackingSettings, tracking), job)
        Path(mlflow_run_id).write_text(run_id, encoding="utf-8")
        progress.end(f"MLflow run {run_id}, {len(runs)} evolutions")
    return runs
