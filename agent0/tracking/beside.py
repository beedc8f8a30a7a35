"""Trackers that packages give, which are told beside MLflow what stages log: metrics, parameters, tags and files.

A package names its own in the group `agent0.trackers`, for `tracking.also`: what opens a run, given a `TrackedRun`.
MLflow stays: the registry, the gates and resumed runs read from it. Tables, images, traces, data sets and versions of
models are kinds of its own, and go there alone; so do the settings of the evolution's run, which each stage's repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent0.errors import Agent0Error
from agent0.plugin_finder import ExtensionPoint
from agent0.tracking.model_origin import Evaluated, Origin
from agent0.tracking.tracker import RunTracker, TrackedDataset, Tracker


@dataclass(frozen=True)
class TrackedRun:
    """A run that a tracker is told of.

    Attributes:
        evolution: id of the MLflow run of the evolution or evaluation, which all runs of it have in common.
        name: `evolution`, `iteration 2`, or that of a stage: `2 task_filtering`. A stage that is attempted again, and
            pods that share one, open the run of that name again.
    """

    evolution: str
    name: str


OpenTracker = Callable[[TrackedRun], RunTracker]
TRACKERS: ExtensionPoint[OpenTracker] = ExtensionPoint(
    "agent0.trackers", "tracker", Callable, "function of an agent0.tracking.TrackedRun"
)


def open_run(name: str, run: TrackedRun) -> RunTracker:
    """Open a run with the tracker called `name`.

    Raises:
        UsageError: there is none.
        Agent0Error: it cannot open the run.
    """
    opened = TRACKERS.find(name)
    with TRACKERS.blamed(name):
        return opened(run)


class BesideTracker(Tracker):
    """Writes a run to MLflow and tells other trackers of it; one that fails is warned of, and told no more.

    Args:
        main: writes to MLflow.
        run: which run it is.
        names: of the others; each opens the run when there is something to tell.
        warn: is told of one that fails.
        opened: those that have opened it already.
    """

    def __init__(
        self,
        main: Tracker,
        run: TrackedRun,
        names: Sequence[str],
        warn: Callable[[str], None],
        opened: Mapping[str, RunTracker] | None = None,
    ) -> None:
        self._main = main
        self._run = run
        self._names = list(names)
        self._warn = warn
        self._opened = dict(opened or {})

    def tell(self, told: Callable[[RunTracker], None]) -> None:
        """Tell the others, but not MLflow."""
        for name in list(self._names):
            try:
                if name not in self._opened:
                    self._opened[name] = open_run(name, self._run)
                with TRACKERS.blamed(name):
                    told(self._opened[name])
            except Agent0Error as error:
                self._names.remove(name)
                self._warn(f"{error} What is logged from here on is in MLflow alone.")

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""
        self._main.log_metrics(metrics, step)
        self.tell(lambda other: other.log_metrics(metrics, step))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._main.log_params(params)
        self.tell(lambda other: other.log_params(params))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""
        self._main.set_tags(tags)
        self.tell(lambda other: other.set_tags(tags))

    def log_file(self, path: Path, folder: str = "") -> None:
        """See `Tracker`."""
        self._main.log_file(path, folder)
        self.tell(lambda other: other.log_file(path, folder))

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """See `Tracker`; for MLflow alone."""
        self._main.log_table(rows, name)

    def log_image(self, path: Path, key: str, step: int) -> None:
        """See `Tracker`; for MLflow alone."""
        self._main.log_image(path, key, step)

    def log_dataset(self, dataset: TrackedDataset) -> None:
        """See `Tracker`; for MLflow alone."""
        self._main.log_dataset(dataset)

    def log_trace(self, trace: Mapping[str, Any]) -> None:
        """See `Tracker`; for MLflow alone."""
        self._main.log_trace(trace)

    def set_status(self, status: str) -> None:
        """See `Tracker`."""
        self._main.set_status(status)
        self.tell(lambda other: other.set_status(status))

    def register_model(self, name: str, folder: Path, uri: str, origin: Origin) -> None:
        """See `Tracker`; for MLflow alone."""
        self._main.register_model(name, folder, uri, origin)

    def record_evaluation(self, name: str, evaluated: Evaluated) -> None:
        """See `Tracker`; for MLflow alone."""
        self._main.record_evaluation(name, evaluated)
