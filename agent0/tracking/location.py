"""Where runs are tracked and buffered; kept apart so that asking does not import mlflow."""

from __future__ import annotations

import os
from pathlib import Path

from agent0.storage import workspace
from agent0.storage.uri import is_in_s3

BUFFER_VARIABLE = "AGENT0_TRACKING_BUFFER"


def tracking_uri() -> str:
    """Return `MLFLOW_TRACKING_URI`, or the SQLite file `mlflow.db` in the current folder, as MLflow itself would."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def buffer_folder() -> Path | None:
    """Return the folder in which what MLflow has not taken yet outlives a process; None if there is none.

    It is `AGENT0_TRACKING_BUFFER`, else `tracking` under a local `AGENT0_WORKSPACE`.
    """
    named = os.environ.get(BUFFER_VARIABLE)
    if named:
        return Path(named)
    root = os.environ.get(workspace.ENVIRONMENT_VARIABLE, "")
    return Path(root) / "tracking" if root and not is_in_s3(root) else None
