"""What every stage runs in: its seed, its progress, its tracking run, and its end.

A component opens a stage, calls the stage's function and finishes it; nothing else of a stage is known to Kubeflow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, TypeAdapter

from agent0.child_processes import RUN_VARIABLE, die_with
from agent0.config import MAY_CHANGE
from agent0.errors import Agent0Error
from agent0.progress import Progress, reported
from agent0.seeds import derive_seed
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import STAGE_FILE, code_version, folder_digest, of_a_stage
from agent0.storage.seal import intact_digest, seal
from agent0.storage.text_files import read_model
from agent0.storage.workspace import Workspace, open_workspace
from agent0.tracking import Tracker
from agent0.tracking.review import NOTE_TAG, origin_tags
from agent0.tracking.tracking_location import tracking_uri
from agent0.types import StageReport

if TYPE_CHECKING:
    from agent0.tracking.buffered_tracker import TrackingSession


@dataclass(frozen=True)
class StageResult:
    """What a stage's function returns: metrics, counts per reason, each training step's numbers, warnings.

    `collected_seconds` is the time of the slowest of the pods whose work the stage collected.
    """

    metrics: dict[str, float]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    log: list[dict[str, float]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    collected_seconds: float = 0.0

    def with_metrics(self, more: Mapping[str, float]) -> StageResult:
        """Return the result with more metrics."""
        return dataclasses.replace(self, metrics={**self.metrics, **more})


class MetricsArtifact(Protocol):
    """The part of Kubeflow's `Metrics` artifact that a stage writes to."""

    path: str

    def log_metric(self, metric: str, value: float) -> None:
        """Keep a number that Kubeflow shows."""


@dataclass(frozen=True)
class Stage:
    """A running stage: its name, its iteration, its own seed, and where it reports to.

    `tracker` writes to the stage's own run, `evolution` to that of the whole evolution or evaluation.
    """

    name: str
    iteration: int
    seed: int
    progress: Progress
    tracker: Tracker
    evolution: Tracker
    started: float  # of a clock that nobody sets
    evolution_id: str = "untracked"
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    session: TrackingSession | None = None

    @classmethod
    def untracked(cls, name: str, iteration: int = 1, seed: int = 0) -> Stage:
        """Return a stage that reports progress and tracks nothing; for use outside a pipeline."""
        progress, nothing = Progress(name, iteration), Tracker()
        own_seed = derive_seed(seed, name, iteration)
        return cls(name, iteration, own_seed, progress, nothing, nothing, time.monotonic())

    def iteration_run(self, number: int) -> Tracker:
        """Return what writes to the run of an iteration; the stages' runs are nested in it."""
        return Tracker() if self.session is None else self.session.iteration(number)

    @property
    def workspace_key(self) -> str:
        """Where this stage's unfinished work lies under the workspace's root."""
        return f"{self.evolution_id}/{self.iteration}/{self.name}"

    def workspace(self, output: Path, part: str = "") -> Workspace:
        """Open the unfinished work of this stage, or of one part of it; see `open_workspace` and `MAY_CHANGE`."""
        key = f"{self.workspace_key}/{part}" if part else self.workspace_key
        return open_workspace(key, output, self.fingerprint, MAY_CHANGE)

    def finish(self, result: StageResult, folder: Path, metrics: MetricsArtifact | None = None) -> StageReport:
        """Write the stage's report into its output folder, and its metrics to the tracker and to Kubeflow's artifact.

        The artifact gets a file too: without one Kubeflow's local cache takes it for lost and runs the task again.
        MLflow has a bounded time to take what waits. What it has not taken then is no reason to lose the result: the
        stage is finished, and its report and a warning name the file.
        """
        report = StageReport(
            stage=self.name,
            iteration=self.iteration,
            seconds=time.monotonic() - self.started + result.collected_seconds,
            peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            metrics=result.metrics,
            counts=result.counts,
            log=tuple(result.log),
            warnings=result.warnings,
        )
        self.tracker.log_metrics({**result.metrics, **_system_metrics(report)}, self.iteration)
        digest = folder_digest(folder, of_a_stage)
        self.tracker.set_tags({"agent0.output_sha256": digest})
        for warning in result.warnings:
            self.progress.warn(warning)
        if result.warnings:
            self.tracker.set_tags({"agent0.warnings": "\n".join(result.warnings)})
        if self.session is not None:
            report = report.model_copy(update={"undelivered": _end(self.session, self.progress, "FINISHED", folder)})
        write_json(folder / STAGE_FILE, report.model_dump())
        seal(folder, digest)
        if metrics is not None:
            write_json(Path(metrics.path), result.metrics)
            for name, value in result.metrics.items():
                metrics.log_metric(name.replace("/", "_"), value)
        self.progress.end(_headline(result.metrics))
        return report


@contextmanager
def open_stage(
    name: str,
    *,
    iteration: int,
    seed: int,
    mlflow_run_id: str,
    settings: Mapping[str, BaseModel] | None = None,
    inputs: Mapping[str, Path] | None = None,
    part: str = "",
    note: str = "",
    also: Sequence[str] = (),
) -> Iterator[Stage]:
    """Open a stage of the evolution whose MLflow run is `mlflow_run_id`.

    Its nested run carries the settings, the seed, the code version and the digest of each input folder. `part` names
    the share of a pod where several work side by side, `note` what the stage does, `also` trackers beside MLflow. An
    error is reported as progress before it is raised, so that whoever watches reads the reason.

    Raises:
        DamagedError: an input is not what the stage that wrote it had sealed.
    """
    from agent0.tracking.buffered_tracker import open_session  # mlflow takes seconds to import

    if run := os.environ.get(RUN_VARIABLE):
        die_with(int(run))
    stage_seed = derive_seed(seed, name, iteration)
    params = {
        key: value for section, model in (settings or {}).items() for key, value in flatten(model, section).items()
    }
    with reported(name, iteration) as progress:
        read = {f"agent0.input_sha256.{label}": intact_digest(folder) for label, folder in (inputs or {}).items()}
        sections = {section: model.model_dump(mode="json") for section, model in (settings or {}).items()}
        fingerprint = {"seed": stage_seed, **sections, **read}
        tags = {
            "agent0.kind": "stage",
            "agent0.stage": name,
            "agent0.iteration": str(iteration),
            "agent0.seed": str(stage_seed),
            "agent0.code_version": code_version(),
            **origin_tags(name),
            NOTE_TAG: note,
            **read,
        }
        session = open_session(
            tracking_uri(),
            mlflow_run_id,
            iteration,
            name,
            part=part,
            fingerprint=hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest(),
            params=params,
            tags=tags,
            warn=progress.warn,
            also=also,
        )
        try:
            yield Stage(
                name,
                iteration,
                stage_seed,
                progress,
                session.tracker,
                session.evolution,
                time.monotonic(),
                mlflow_run_id,
                fingerprint,
                session,
            )
        except BaseException:
            _end(session, progress, "FAILED")
            raise
        _end(session, progress, "FINISHED")


def _end(session: TrackingSession, progress: Progress, status: str, folder: Path | None = None) -> str:
    """End the tracking of a stage; return the file with what MLflow has not taken, having warned of it."""
    left = session.close(status, folder)
    if left:
        progress.warn(
            f"Tracking is incomplete: {session.journal.pending} entries wait in {left}. {session.why()} "
            f"Deliver them with: agent0 tracking flush {left}"
        )
    return left


def read_report(folder: Path) -> StageReport:
    """Read what the stage that wrote `folder` said of itself.

    Raises:
        Agent0Error: the folder holds no finished stage's output.
    """
    path = folder / STAGE_FILE
    if not path.is_file():
        raise Agent0Error(f"{folder} holds no finished stage ({STAGE_FILE} is missing); run that stage again.")
    return read_model(path, StageReport, noun="report of a stage", mended_by="run that stage again")


def slowest_part(folders: Sequence[Path]) -> float:
    """Return the seconds of the slowest of the stages that wrote `folders`."""
    return max(read_report(folder).seconds for folder in folders)


def flatten(model: BaseModel, prefix: str) -> dict[str, object]:
    """Return the fields of nested settings as `section.field` names; lists and tables are JSON, one object each."""
    flat: dict[str, object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            flat.update(flatten(value, f"{prefix}.{name}"))
        else:
            flat[f"{prefix}.{name}"] = _plain(value)
    return flat


def _plain(value: object) -> object:
    """Return a setting as a person wrote it: prompts, say, with the characters that they have."""
    if not isinstance(value, tuple | dict):
        return value
    return json.dumps(TypeAdapter(Any).dump_python(value, mode="json"), ensure_ascii=False)


def _system_metrics(report: StageReport) -> dict[str, float]:
    """Return what the stage took of its machine: of its process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    metrics = {
        "system/seconds": report.seconds,
        "system/cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in used),
        "system/peak_memory_mb": report.peak_memory_mb,
    }
    torch = sys.modules.get("torch")  # a stage that has not needed it used no GPU
    if torch is not None and torch.cuda.is_available():
        peaks = [torch.cuda.max_memory_reserved(device) for device in range(torch.cuda.device_count())]
        metrics["system/gpu_peak_memory_mb"] = max(peaks) / 2**20
    return metrics


def _headline(metrics: Mapping[str, float]) -> str:
    shown = [(name, value) for name, value in metrics.items() if not name.startswith("system/")]
    return ", ".join(f"{name} {value:.3g}" for name, value in shown[:4])
