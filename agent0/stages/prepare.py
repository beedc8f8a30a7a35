"""Stage: the history that an evolution begins with, new or of an earlier one."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from agent0.config import Config
from agent0.errors import UsageError
from agent0.report.history import HISTORY_FILE, History
from agent0.stages.open_history import is_local, open_history
from agent0.stages.stage_files import KEPT_FOLDER, QUESTIONS_FOLDER, VERDICTS_FOLDER
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import code_version
from agent0.storage.seal import seal
from agent0.tracking.tracking_location import tracking_uri


def begin_history(config: Config, first_iteration: int, history_uri: str, mlflow_run_id: str, output: Path) -> History:
    """Write the history that the first round adds to into `output`, and return it.

    Args:
        config: all settings.
        first_iteration: number of the first round.
        history_uri: what to go on with, as for `open_history`; empty for a new one. The earlier questions and
            kept tasks, and the last verdicts, are known from a folder only.
        mlflow_run_id: the evolution's MLflow run.
        output: folder to write.

    Raises:
        UsageError: the earlier history does not end right before the first round.
        Agent0Error: there is no history at `history_uri`.
    """
    now = time.time()
    history = History(
        recipe=config.recipe,
        seed=config.seed,
        first_iteration=first_iteration,
        planned_iterations=first_iteration - 1 + config.iterations,
        code_version=code_version(),
        mlflow_run_id=mlflow_run_id,
        tracking_uri=tracking_uri(),
        started_at=now,
        finished_at=now,
        config=config.model_dump(mode="json"),
        iterations=(),
    )
    if history_uri:
        past = open_history(history_uri)
        for name in (QUESTIONS_FOLDER, KEPT_FOLDER, VERDICTS_FOLDER):
            earlier = Path(history_uri).expanduser() / name
            if is_local(history_uri) and earlier.is_dir():
                shutil.copytree(earlier, output / name, dirs_exist_ok=True)
        last = max((record.iteration for record in past.iterations), default=0)
        if last != first_iteration - 1:
            raise UsageError(
                f"The history at {history_uri} ends with iteration {last}; go on with start_iteration {last + 1}, not "
                f"{first_iteration}."
            )
        took = past.finished_at - past.started_at
        history = history.model_copy(update={"iterations": past.iterations, "started_at": history.started_at - took})
    write_json(output / HISTORY_FILE, history.model_dump())
    seal(output)
    return history
