"""The component `prepare`: begin the history of an evolution, or go on with an earlier one."""

from kfp.dsl import Artifact, Output


def prepare(
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
    history_uri: str,
    mlflow_run_id: str,
    history: Output[Artifact],
):
    """Write the history that the first round adds to."""
    from pathlib import Path

    from agent0.config import Config, parse_section
    from agent0.progress import reported
    from agent0.stages.prepare import begin_history

    sections = {
        "model": model,
        "rollout": rollout,
        "sandbox": sandbox,
        "warm_start": warm_start,
        "curriculum": curriculum,
        "generation": generation,
        "execution": execution,
        "filtering": filtering,
        "executor": executor,
        "training": training,
        "evaluation": evaluation,
        "tracking": tracking,
    }
    with reported("prepare", 0) as progress:
        fixed = {"recipe": recipe, "seed": seed, "iterations": iterations, "pods": pods}
        config = parse_section(Config, {**fixed, **sections})
        begun = begin_history(config, start_iteration, history_uri, mlflow_run_id, Path(history.path))
        progress.end(f"{len(begun.iterations)} earlier records")
