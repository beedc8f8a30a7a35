"""The component `opening`: check the configuration and open the evolution's run, or go on with an unfinished one."""

from kfp.dsl import OutputPath


def opening(
    recipe: str,
    seed: int,
    iterations: int,
    pods: int,
    model: dict,
    rollout: dict,
    sandbox: dict,
    warm_start: dict,
    curriculum: dict,
    generation: dict,
    execution: dict,
    filtering: dict,
    executor: dict,
    training: dict,
    evaluation: dict,
    tracking: dict,
    start_iteration: int,
    curriculum_model_uri: str,
    executor_model_uri: str,
    history_uri: str,
    code_version: str,
    mlflow_run_id: str,
    job: str,
    compiled_with: dict,
    graph: dict,
    config: OutputPath(dict),
    variant: dict = {},  # noqa: B006
    one_model: bool = False,
) -> str:
    """Fail before any GPU is asked for if a setting is wrong; return the id of the evolution's MLflow run."""
    given = dict(locals())

    from pathlib import Path

    from agent0.config import Config
    from agent0.progress import reported
    from agent0.stages.opening import Beginning, check_graph, configuration, open_evolution

    with reported("opening", 0) as progress:
        checked = configuration({name: given[name] for name in Config.model_fields if name in given}, variant)
        check_graph(checked, **graph)
        beginning = Beginning(start_iteration, curriculum_model_uri, executor_model_uri, history_uri)
        run_id = open_evolution(checked, beginning, code_version, mlflow_run_id, job, compiled_with)
        Path(config).write_text(checked.model_dump_json(), encoding="utf-8")
        progress.end(f"MLflow run {run_id}")
    return run_id
