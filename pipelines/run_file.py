"""What a run of this machine began with, in its folder: a later call goes on with the same, or not at all."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent0.config import Config
from agent0.errors import UsageError
from agent0.storage.atomic_file import write_json
from agent0.storage.text_files import UnreadableError, read_object
from agent0.tracking.tracking_location import absolute, relative

RUN_FILE = "run.json"


def write_run(
    folder: Path,
    config: Config,
    tracking_uri: str,
    code_version: str,
    pipeline_sha256: str,
    beginning: Mapping[str, Any],
) -> None:
    """Write what the run in `folder` begins with; its tracking store as the way there, so that both can be copied."""
    run = {
        "config": config.model_dump(mode="json"),
        "folder": str(folder.absolute()),
        "tracking_uri": relative(tracking_uri, folder),
        "code_version": code_version,
        "pipeline_sha256": pipeline_sha256,
        "beginning": dict(beginning),
    }
    write_json(folder / RUN_FILE, {**run, "sha256": _sha256(run)})


def read_run(folder: Path) -> dict[str, Any]:
    """Return what the run in `folder` began with; `tracking_uri` as it is from here.

    Raises:
        UsageError: there is none, it was changed since, or the run that it is a copy of tracks to the same store.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise UsageError(f"{folder} holds no evolution to resume ({RUN_FILE} is missing); start one without --resume.")
    run = _read(path)
    if run is None:
        raise UsageError(
            f"{path} was changed or damaged since the run began, and a run keeps the settings that it began with: put "
            "back what was there, or start another run with --set and another --output."
        )
    store, original = absolute(run["tracking_uri"], folder), Path(run.get("folder", folder))
    if _is_copy(folder, original, run) and absolute(run["tracking_uri"], original) == store:
        raise UsageError(
            f"{folder} is a copy of the run in {original}, and both would write to one MLflow run: go on with that "
            "one, or start another run in another --output."
        )
    return {**run, "tracking_uri": store}


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a file says, if it is as it was written."""
    try:
        run = read_object(path)
        return run if run.pop("sha256", "") == _sha256(run) else None
    except UnreadableError:
        return None


def _is_copy(folder: Path, original: Path, run: dict[str, Any]) -> bool:
    there = original / RUN_FILE
    return there.is_file() and not there.samefile(folder / RUN_FILE) and _read(there) == run


def _sha256(run: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()
