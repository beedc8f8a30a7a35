"""Where runs are tracked; kept apart so that asking does not import mlflow."""

from __future__ import annotations

import os
from pathlib import Path


def tracking_uri() -> str:
    """Return `MLFLOW_TRACKING_URI`, or the SQLite file `mlflow.db` in the current folder, as MLflow itself would."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
