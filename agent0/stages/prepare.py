"""Stage: check the whole configuration, open the evolution's MLflow run, and begin its history."""

from __future__ import annotations

import time
from pathlib import Path

from agent0.ablations import active_ablations
from agent0.config import Config
from agent0.errors import UsageError
from agent0.report.history import History
from agent0.stages.files import HISTORY_FILE
from agent0.stages.session import flatten
from agent0.storage.atomic import write_json
from agent0.storage.digest import code_version
from agent0.tracking.location import tracking_uri


def prepare_evolution(config: Config, output: Path) -> str:
    """Write an empty history to `output` and return the id of the evolution's MLflow run.

    Raises:
        UsageError: the settings do not fit together.
        Agent0Error: MLflow does not answer.
    """
    from agent0.tracking.runs import start_run  # mlflow takes seconds to import

    check_consistency(config)
    uri, settings = tracking_uri(), config.model_dump(mode="json")
    run_id = start_run(
        uri,
        config.tracking.experiment,
        f"evolution {config.recipe} seed {config.seed}",
        flatten(config, "config"),
        {
            "agent0.recipe": config.recipe,
            "agent0.ablations": ", ".join(active_ablations(settings)) or "none",
            "agent0.seed": str(config.seed),
            "agent0.code_version": code_version(),
        },
        range(config.iterations + 1),
    )
    history = History(
        recipe=config.recipe,
        seed=config.seed,
        planned_iterations=config.iterations,
        code_version=code_version(),
        mlflow_run_id=run_id,
        tracking_uri=uri,
        started_at=time.time(),
        finished_at=time.time(),
        config=settings,
        iterations=(),
    )
    write_json(output / HISTORY_FILE, history.model_dump())
    return run_id


def check_consistency(config: Config) -> None:
    """Check what no single section can see.

    Raises:
        UsageError: names the settings that contradict each other.
    """
    if config.filtering.min_tasks < config.executor.tasks_per_step:
        raise UsageError(
            f"filtering.min_tasks is {config.filtering.min_tasks} but one training batch needs "
            f"executor.tasks_per_step = {config.executor.tasks_per_step} tasks; raise the first or lower the second."
        )
    if config.generation.proposals < config.filtering.min_tasks:
        raise UsageError(
            f"generation.proposals is {config.generation.proposals}, fewer than filtering.min_tasks = "
            f"{config.filtering.min_tasks}; generate more."
        )
    if config.rollout.max_observation_tokens >= config.rollout.max_response_tokens:
        raise UsageError(
            f"rollout.max_observation_tokens {config.rollout.max_observation_tokens} leaves no room in "
            f"rollout.max_response_tokens {config.rollout.max_response_tokens}; lower the first."
        )
