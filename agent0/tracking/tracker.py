"""What stages write to their runs through; this module does not import mlflow.

Whoever calls it neither waits for a server nor learns whether there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent0.tracking.model_origin import Evaluated, Origin


def undelivered_tag(iteration: int, stage: str) -> str:
    """Return the tag, on an iteration's and the evolution's run, that names a stage's buffer MLflow has not taken."""
    return f"agent0.undelivered.{iteration}-{stage}"


@dataclass(frozen=True)
class TrackedDataset:
    """Data that a run made or used.

    Attributes:
        name: what it is, as `tasks-kept`.
        digest: sha256 of its files, by which the same data is recognised.
        context: `output` where the run made it, else what it was used for.
        source: where it lies.
        profile: numbers about it, such as how many records it has.
    """

    name: str
    digest: str
    context: str
    source: str
    profile: Mapping[str, float] = field(default_factory=dict)


class RunTracker:
    """Writes to one tracking run what any tracker can keep; this one nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write numbers of one step; names are grouped by a prefix, as in `eval/accuracy`."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Write settings."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write tags."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a file as an artifact."""

    def set_status(self, status: str) -> None:
        """Mark the run as RUNNING, FINISHED, FAILED or KILLED."""


class Tracker(RunTracker):
    """Writes to one tracking run all that MLflow can keep; this one nothing, for tests and for stages run by hand."""

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """Keep rows as a table that MLflow shows; `name` ends in `.json`."""

    def log_image(self, path: Path, key: str, step: int) -> None:
        """Keep a PNG image as the one of `key` at `step`; MLflow shows a slider over the steps."""

    def log_dataset(self, dataset: TrackedDataset) -> None:
        """Note the data that the run made or used."""

    def log_trace(self, trace: Mapping[str, Any]) -> None:
        """Keep a trajectory; see `agent0.tracking.traces.trajectory_trace`."""

    def register_model(self, name: str, folder: Path, uri: str, origin: Origin) -> None:
        """Register the model in `folder`, stored at `uri`, as a version of `name`; see `registry.register`."""

    def record_evaluation(self, name: str, evaluated: Evaluated) -> None:
        """Write an evaluation on the version of `name` that a round made; see `version_scores.write_scores`."""
