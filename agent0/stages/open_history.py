"""Finding the history of a finished or running evolution: in a folder, in a store, or among its MLflow run's artifacts.

Gives histories and their comparison; draws nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent0.errors import Agent0Error, UsageError
from agent0.report.evolution_comparison import MAX_RUNS, Run, name_runs
from agent0.report.history import HISTORY_FILE, History
from agent0.stages.stage_files import KEPT_FOLDER, QUESTIONS_FOLDER
from agent0.storage.seal import is_intact
from agent0.storage.shards import iterate_records
from agent0.storage.text_files import read_model
from agent0.storage.uri import is_in_s3
from agent0.storage.uri_files import read_file
from agent0.tracking.tracking_location import tracking_uri
from agent0.types import LabelledTask, Task

MLFLOW_SCHEME = "runs:/"


def is_local(place: str) -> bool:
    """Whether a run's place is a folder on this machine."""
    return not place.startswith(MLFLOW_SCHEME) and not is_in_s3(place)


def open_runs(places: Sequence[str]) -> tuple[Run, ...]:
    """Read the runs to compare, in the order given.

    Raises:
        UsageError: fewer than two, more than five, one run twice, or runs of different worlds or benchmarks.
        Agent0Error: a place holds no run.
    """
    if len(places) > MAX_RUNS:
        raise UsageError(f"A comparison shows at most {MAX_RUNS} runs, and {len(places)} are named; name fewer.")
    names = [str(Path(place).resolve()) if is_local(place) else place.rstrip("/") for place in places]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is named twice; name each run once.")
    return name_runs({name: open_history(name) for name in names})


def open_history(place: str) -> History:
    """Read the history of a run: a folder of `agent0 evolve`, `s3://BUCKET/KEY`, or `runs:/ID` of MLflow.

    Raises:
        Agent0Error: there is none, or it was written by another version; the message says where and what to do.
    """
    if is_local(place):
        return read_history(Path(place))
    if place.startswith(MLFLOW_SCHEME):
        with tempfile.TemporaryDirectory() as folder:
            return _parse(_from_mlflow(place, Path(folder)), place)
    with read_file(f"{place.rstrip('/')}/{HISTORY_FILE}") as path:
        return _parse(path, place)


def read_history(folder: Path) -> History:
    """Read the history in a run's folder.

    Raises:
        Agent0Error: there is none, or it was written by another version.
    """
    return _parse(folder / HISTORY_FILE, str(folder))


def newest_history(run: Path) -> Path | None:
    """Return the output of the newest iteration report among a run's files that is whole; None before the first."""
    found = [path for path in run.glob(f"**/{HISTORY_FILE}") if is_intact(path.parent)]
    grown = {path.parent: len(json.loads(path.read_text(encoding="utf-8"))["iterations"]) for path in found}
    return max((place for place in grown if grown[place]), key=lambda place: (grown[place], place), default=None)


def earlier_questions(folder: Path) -> list[str]:
    """Read the questions of all iterations before, from the folder of a history; none before the first."""
    kept = folder / QUESTIONS_FOLDER
    return [task.question for task in iterate_records(Task, kept)] if kept.is_dir() else []


def earlier_tasks(folder: Path) -> Iterator[LabelledTask]:
    """Yield the tasks that all iterations before kept, from the folder of a history; none before the first."""
    kept = folder / KEPT_FOLDER
    if kept.is_dir():
        yield from iterate_records(LabelledTask, kept)


def _parse(path: Path, place: str) -> History:
    if not path.is_file():
        raise _absent(place)
    return read_model(
        path,
        History,
        f"The {HISTORY_FILE} of {place}",
        noun="history of a run",
        mended_by="it is damaged or of another version of Agent0",
    )


def _from_mlflow(place: str, folder: Path) -> Path:
    from mlflow.exceptions import MlflowException

    from agent0.tracking.mlflow_runs import open_client

    uri, run_id = tracking_uri(), place.removeprefix(MLFLOW_SCHEME).strip("/")
    client = open_client(uri)
    try:
        client.get_run(run_id)
        if all(item.path != HISTORY_FILE for item in client.list_artifacts(run_id)):
            raise _absent(place)
        return Path(client.download_artifacts(run_id, HISTORY_FILE, str(folder)))
    except MlflowException as error:
        raise Agent0Error(
            f"MLflow at {uri} does not give {place}: {error.message}. See the run's id with `agent0 ui`, and set "
            "MLFLOW_TRACKING_URI if the run is tracked elsewhere."
        ) from error


def _absent(place: str) -> Agent0Error:
    return Agent0Error(
        f"{place} holds no history ({HISTORY_FILE} is missing); give the folder of a run of `agent0 evolve`, its copy "
        "in a store (s3://BUCKET/KEY), or an evolution's MLflow run (runs:/ID)."
    )
