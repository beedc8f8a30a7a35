"""Stage: however a pipeline ended, no MLflow run of it stays open, and what it finished has a report."""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent0.config import TrackingSettings
from agent0.stages.files import HISTORY_FILE, REPORT_FILE, SUMMARY_FILE
from agent0.stages.iteration_report import write_history
from agent0.stages.runs import MLFLOW_SCHEME, open_history
from agent0.storage.atomic import atomic_write
from agent0.tracking.location import tracking_uri

STATUS = {"SUCCEEDED": "FINISHED", "CANCELLED": "KILLED", "CANCELED": "KILLED"}


@dataclass(frozen=True)
class Ending:
    """How a pipeline ended, in Kubeflow's words."""

    state: str
    message: str = ""

    @property
    def status(self) -> str:
        """The same as a status of MLflow: FINISHED, KILLED or FAILED."""
        return STATUS.get(self.state.upper(), "FAILED")

    def sentence(self) -> str:
        """Say it to a person."""
        return f"The pipeline ended as {self.state}{': ' if self.message else '.'}{self.message}"


def close_runs(job: str, ending: Ending, tracking: TrackingSettings, page: Path) -> list[str]:
    """End what the job left open in MLflow; write the newest evolution's report to it and to `page`.

    Returns:
        The ids of the runs that the job opened.

    Raises:
        Agent0Error: MLflow does not answer.
    """
    from agent0.tracking.jobs import end_run, runs_of_job  # mlflow takes seconds to import

    uri = tracking_uri()
    runs = runs_of_job(uri, tracking.experiment, job)
    text = ""
    for run_id in runs:
        text = text or _report(uri, run_id)
        end_run(uri, run_id, ending.status, ending.sentence())
    with atomic_write(page) as file:
        file.write(text or _bare_page(ending, runs))
    return runs


def _report(uri: str, run_id: str) -> str:
    """Draw the report of the history that a run keeps, log it to the run and return it; empty without a round."""
    from agent0.tracking.jobs import keep_file, keeps

    if not keeps(uri, run_id, HISTORY_FILE):  # it is kept from the first round on
        return ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(open_history(f"{MLFLOW_SCHEME}{run_id}"), folder)
        for file in (REPORT_FILE, SUMMARY_FILE):
            keep_file(uri, run_id, str(folder / file))
        return (folder / REPORT_FILE).read_text(encoding="utf-8")


def _bare_page(ending: Ending, runs: list[str]) -> str:
    rest = "Results are in the tasks' own artifacts." if ending.status == "FINISHED" else "No round was finished."
    listed = "".join(f"<li>{html.escape(run)}</li>" for run in runs)
    return (
        "<!doctype html><meta charset=utf-8><title>Agent0</title>"
        f"<p>{html.escape(ending.sentence())}</p><p>{rest}</p><ul>{listed}</ul>\n"
    )
