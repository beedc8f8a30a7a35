"""The component `prepare`: check the configuration and open the evolution's run."""

from kfp.dsl import Artifact, Output


def prepare(
    recipe: str,
    seed: int,
    iterations: int,
    pods: int,
    model: dict,
    rollout: dict,
    sandbox: dict,
    curriculum: dict,
    generation: dict,
    execution: dict,
    filtering: dict,
    executor: dict,
    training: dict,
    evaluation: dict,
    tracking: dict,
    history: Output[Artifact],
) -> str:
    """Fail before any GPU is asked for if a setting is wrong; return the id of the evolution's MLflow run."""
    from pathlib import Path

    from agent0.config import Config, parse_section
    from agent0.progress import reported
    from agent0.stages.prepare import prepare_evolution

    sections = {
        "model": model,
        "rollout": rollout,
        "sandbox": sandbox,
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
        run_id = prepare_evolution(config, Path(history.path))
        progress.end(f"MLflow run {run_id}")
        return run_id
