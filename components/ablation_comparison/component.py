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
    from agent0.stages import run_stage
    from agent0.stages.ablation import run_ablation_comparison

    config = {"recipe": recipe, "tracking": tracking}
    inputs, more = {"histories": histories}, {"recipe": recipe, "group": group, "page": page}
    run_stage(run_ablation_comparison, config, 0, mlflow_run_id, inputs, compared, metrics, **more)
