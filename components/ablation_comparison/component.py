"""The component `ablation_comparison`: compare the variants of an ablation with the full method."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


def ablation_comparison(
    recipe: str,
    group: str,
    tracking: dict,
    mlflow_run_id: str,
    histories: Input[list[Artifact]],
    compared: Output[Dataset],
    page: Output[HTML],
    metrics: Output[Metrics],
):
    """Write the table of all variants, their differences paired by seed."""
    from pathlib import Path

    from agent0.config import TrackingSettings, parse_section
    from agent0.stages import open_stage
    from agent0.stages.ablation import compare_ablations

    folders = [Path(history.path) for history in histories]
    output = Path(compared.path)
    with open_stage(
        "ablation_comparison",
        iteration=0,
        seed=0,
        mlflow_run_id=mlflow_run_id,
        inputs={f"history_{number}": folder for number, folder in enumerate(folders)},
    ) as stage:
        section = parse_section(TrackingSettings, tracking)
        result = compare_ablations(stage, folders, recipe, group, section, output, Path(page.path))
        stage.finish(result, output, metrics)
