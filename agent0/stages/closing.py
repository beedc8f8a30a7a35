"""Stage: however a pipeline ended, no MLflow run of it stays open, and what it finished has a report.

Kubeflow's server tells its exit handler little: the state in which its metadata store last saw the tasks before, and
never an error. A pipeline that was cancelled, ran out of memory or ended in tasks from the cache is all the same to it.
So what MLflow holds is asked first: a run that has what its last stage writes is finished, whatever the server says.
"""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent0.config import TrackingSettings
from agent0.progress import Progress
from agent0.report.history import HISTORY_FILE
from agent0.stages.ablation import PAGE_FILE as ABLATION_PAGE
from agent0.stages.evaluation_comparison import PAGE_FILE as COMPARISON_PAGE
from agent0.stages.iteration_report import write_history
from agent0.stages.open_history import MLFLOW_SCHEME, open_history
from agent0.stages.stage_files import REPORT_FILE, SUMMARY_FILE
from agent0.storage.atomic_file import atomic_write
from agent0.tracking.tracking_location import buffer_folder, tracking_uri

if TYPE_CHECKING:
    from agent0.tracking.job_runs import JobRun

UNKNOWN = "unknown"
STATUS = {
    # Kubeflow's server, in the words of its metadata store
    "COMPLETE": "FINISHED",
    "CACHED": "FINISHED",
    "FAILED": "FAILED",
    "CANCELED": "KILLED",
    "RUNNING": UNKNOWN,  # cancelled, out of memory, a pod that was lost or never began, or ended in cached tasks
    # the local runner
    "SUCCEEDED": "FINISHED",
    "CANCELLED": "KILLED",
}
LAST_FILES = {"evaluation": COMPARISON_PAGE, "ablation": ABLATION_PAGE}
WHOLE = {
    "evolution": "Every round is finished; the report is an artifact of the run.",
    "evaluation": f"Every benchmark is scored; the comparison is the run's artifact {COMPARISON_PAGE}.",
    "ablation": f"Every variant is finished; the comparison is the run's artifact {ABLATION_PAGE}.",
}
IN_PARTS = {
    "evolution": "No round was finished; what its stages did is in their runs.",
    "evaluation": "The evaluation is not whole; what its benchmarks scored is in their runs.",
    "ablation": "The variants were not compared; what each of them finished is in its own run.",
}


@dataclass(frozen=True)
class Ending:
    """How a pipeline ended, in Kubeflow's words."""

    state: str
    message: str = ""

    @property
    def status(self) -> str:
        """The same as a status of MLflow: FINISHED, KILLED or FAILED; `unknown` where the word does not say."""
        return STATUS.get(self.state.upper(), UNKNOWN)

    def sentence(self) -> str:
        """Say it to a person."""
        said = f"The pipeline ended as {self.state}{': ' if self.message else '.'}{self.message}"
        if self.status != UNKNOWN:
            return said
        return (
            f"{said} The server does not tell how: it was cancelled, ran out of memory, or lost a pod, or one never "
            "began, unless its last tasks came from the cache. `agent0 pipeline status` shows the tasks."
        )

    def of_run(self, *, whole: bool) -> tuple[str, str]:
        """Return status and outcome of a run that is still open; `whole`: whether its last stage has written."""
        if whole:
            return "FINISHED", f"All stages have finished. {self.sentence()}"
        return "KILLED" if self.status == UNKNOWN else self.status, self.sentence()


def close_runs(job: str, ending: Ending, tracking: TrackingSettings, page: Path) -> list[str]:
    """End what the job left open in MLflow; write the newest evolution's report to it and to `page`.

    Where MLflow does not answer, the ending waits among the tracking buffers for `agent0 tracking flush`, as what the
    stages had to say does.

    Returns:
        The ids of the runs that the job opened; none where MLflow does not answer.

    Raises:
        Agent0Error: MLflow does not answer, and there is no folder of buffers that outlives this process.
    """
    from agent0.tracking.delivery import UnreachableError, explaining  # mlflow takes seconds to import
    from agent0.tracking.job_runs import leave_to_close

    uri = tracking_uri()
    try:
        with explaining(uri):
            return _close(uri, job, ending, tracking, page)
    except UnreachableError as error:
        buffers = buffer_folder()
        if buffers is None:
            raise
        status, outcome = ending.of_run(whole=False)
        left = leave_to_close(buffers, uri, tracking.experiment, job, status, outcome)
        sentence = f"{error} Its runs stay open until it answers; then: agent0 tracking flush {buffers}"
        Progress("closing", 0).warn(f"{sentence} (how they ended waits in {left})")
        with atomic_write(page) as file:
            file.write(_page(f"<p>{html.escape(ending.sentence())} {html.escape(sentence)}</p>"))
        return []


def _close(uri: str, job: str, ending: Ending, tracking: TrackingSettings, page: Path) -> list[str]:
    from agent0.tracking.job_runs import end_run, look_at, runs_of_job

    runs = runs_of_job(uri, tracking.experiment, job)
    text, found = "", {}
    for run_id in runs:
        text = text or _report(uri, run_id)
        whole = _is_whole(look_at(uri, run_id))
        end_run(uri, run_id, *ending.of_run(whole=whole))
        found[run_id] = (look_at(uri, run_id), whole)
    if any(run.kind == "ablation" for run, _ in found.values()):
        text = ""  # the report of one variant is not the job's
    with atomic_write(page) as file:
        file.write(text or _listing(ending, list(found.values())))
    return runs


def _is_whole(run: JobRun) -> bool:
    """Whether a run has what the last stage of its kind writes."""
    if HISTORY_FILE in run.files:
        history = open_history(f"{MLFLOW_SCHEME}{run.run_id}")
        return bool(history.iterations) and history.iterations[-1].iteration >= history.planned_iterations
    return LAST_FILES.get(run.kind) in run.files


def _report(uri: str, run_id: str) -> str:
    """Draw the report of the history that a run keeps, log it to the run and return it; empty without a round."""
    from agent0.tracking.job_runs import keep_file, keeps

    if not keeps(uri, run_id, HISTORY_FILE):  # it is kept from the first round on
        return ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(open_history(f"{MLFLOW_SCHEME}{run_id}"), folder)
        for file in (REPORT_FILE, SUMMARY_FILE):
            keep_file(uri, run_id, str(folder / file))
        return (folder / REPORT_FILE).read_text(encoding="utf-8")


def _listing(ending: Ending, runs: list[tuple[JobRun, bool]]) -> str:
    """Return the page of a job without a report: its runs in MLflow, and what is in them."""
    shown = "".join(_shown(run, whole=whole) for run, whole in runs)
    rest = shown or "<p>The pipeline opened no MLflow run: it ended in its first task, or before.</p>"
    return _page(f"<p>{html.escape(ending.sentence())}</p>{rest}")


def _page(body: str) -> str:
    return f"<!doctype html><meta charset=utf-8><title>Agent0</title>{body}\n"


def _shown(run: JobRun, *, whole: bool) -> str:
    told = (WHOLE if whole else IN_PARTS).get(run.kind, "")
    place = f'<a href="{html.escape(run.link)}">{run.run_id}</a>' if run.link else run.run_id
    stages = "".join(
        f"<li>{html.escape(stage.name)} ({stage.status})"
        + "".join(f", {html.escape(name)} {value:.4g}" for name, value in sorted(stage.metrics.items()))
        for stage in run.stages
    )
    files = html.escape(", ".join(run.files)) or "none"
    return (
        f"<h2>{html.escape(run.name)} ({run.status})</h2><p>{html.escape(told)}</p>"
        f"<p>MLflow run {place}; artifacts: {files}.</p><ul>{stages}</ul>"
    )
