"""The interface through which stages write metrics and artifacts; this module does not import mlflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agent0.tracking.origin import Origin


class Tracker(Protocol):
    """Writes to one tracking run."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write numbers of one step; names are grouped by a prefix, as in `executor/accuracy`."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Write settings."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write tags."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a file as an artifact."""

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """Keep rows as a table that MLflow shows; `name` ends in `.json`."""

    def set_status(self, status: str) -> None:
        """Mark the run as RUNNING, FINISHED, FAILED or KILLED."""

    def register_model(self, name: str, folder: Path, uri: str, origin: Origin) -> str:
        """Register the model in `folder`, stored at `uri`, as a version of `name`; see `registry.register`."""


class NullTracker:
    """Writes nothing; for tests and for stages run by hand."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """See `Tracker`."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """See `Tracker`."""

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """See `Tracker`."""

    def set_status(self, status: str) -> None:
        """See `Tracker`."""

    def register_model(self, name: str, folder: Path, uri: str, origin: Origin) -> str:
        """See `Tracker`."""
        return ""
