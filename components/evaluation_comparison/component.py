"""The component `evaluation_comparison`: put an evaluation together, compare it, and ask the promotion gate."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Output


def evaluation_comparison(
    config: dict,
    mlflow_run_id: str,
    name: str,
    champion: str,
    resolved_champion: str,
    promote: bool,
    publish_to: str,
    history: str,
    evaluations: Input[list[Dataset]],
    compared: Output[Dataset],
    page: Output[HTML],
    metrics: Output[Metrics],
):
    """Write the record of all benchmarks, the comparison page and, with a champion, the gate's decision."""
    from agent0.stages import run_stage
    from agent0.stages.evaluation_comparison import run_evaluation_comparison

    inputs, more = {"evaluations": evaluations}, {"model_name": name, "page": page, "history": history}
    more |= {"champion": champion, "resolved_champion": resolved_champion, "promote": promote, "publish_to": publish_to}
    run_stage(run_evaluation_comparison, config, 0, mlflow_run_id, inputs, compared, metrics, **more)
