"""The component `evaluation_comparison`: put an evaluation together, compare it, and ask the promotion gate."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Output


def evaluation_comparison(
    seed: int,
    mlflow_run_id: str,
    name: str,
    champion: str,
    resolved_champion: str,
    promote: bool,
    publish_to: str,
    history: str,
    model: dict,
    gate: dict,
    evaluations: Input[list[Dataset]],
    compared: Output[Dataset],
    page: Output[HTML],
    metrics: Output[Metrics],
):
    """Write the record of all benchmarks, the comparison page and, with a champion, the gate's decision."""
    from pathlib import Path

    from agent0.config import ModelSettings, parse_section
    from agent0.evaluation.gate import GateSettings
    from agent0.stages import open_stage
    from agent0.stages.evaluation_comparison import run_evaluation_comparison

    settings = {"model": parse_section(ModelSettings, model), "gate": parse_section(GateSettings, gate)}
    folders = [Path(part.path) for part in evaluations]
    output = Path(compared.path)
    with open_stage(
        "evaluation_comparison",
        iteration=0,
        seed=seed,
        mlflow_run_id=mlflow_run_id,
        settings=settings,
        inputs={f"evaluation_{number}": folder for number, folder in enumerate(folders)},
    ) as stage:
        result = run_evaluation_comparison(
            stage,
            evaluations=folders,
            champion=champion,
            resolved_champion=resolved_champion,
            promote=promote,
            publish_to=publish_to,
            history=history,
            name=name,
            output=output,
            output_uri=compared.uri,
            page=Path(page.path),
            **settings,
        )
        stage.finish(result, output, metrics)
