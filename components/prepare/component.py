"""The component `prepare`: begin the history of an evolution, or go on with an earlier one."""

from kfp.dsl import Artifact, Output


def prepare(
    config: dict,
    mlflow_run_id: str,
    start_iteration: int,
    history_uri: str,
    history: Output[Artifact],
):
    """Write the history that the first round adds to."""
    from pathlib import Path

    from agent0.config import Config, parse_section
    from agent0.progress import reported
    from agent0.stages.prepare import begin_history

    with reported("prepare", 0) as progress:
        settings = parse_section(Config, config)
        begun = begin_history(settings, start_iteration, history_uri, mlflow_run_id, Path(history.path))
        progress.end(f"{len(begun.iterations)} earlier records")
