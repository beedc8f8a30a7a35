"""The MLflow runs of one pipeline job: which one to go on with, and which to close.

A job is one run of a pipeline; the runs that it opens carry its id as a tag, since the task that closes them can be
handed nothing that other tasks made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from agent0.errors import UsageError
from agent0.tracking.delivery import explaining
from agent0.tracking.journal import Entry, Journal
from agent0.tracking.mlflow_runs import KIND_TAG, OPEN, close_runs, nested_runs, open_client
from agent0.tracking.registry import pages
from agent0.tracking.review import charts_of

JOB_TAG = "agent0.job"
GROUP_TAG = "agent0.ablation_group"
FINGERPRINT_TAG = "agent0.fingerprint"
OUTCOME_TAG = "agent0.outcome"
UNFINISHED = ("FAILED", "KILLED")
SHOWN_METRICS = "eval/"


@dataclass(frozen=True)
class StageRun:
    """The run of a stage: its name, status, and what it measured of the model."""

    name: str
    status: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class JobRun:
    """A run that a job opened: what it is, its files at the top, and its stages. `link` is empty without a server."""

    run_id: str
    name: str
    kind: str
    status: str
    link: str
    files: tuple[str, ...]
    stages: tuple[StageRun, ...]


def named_run(uri: str, run_id: str, fingerprint: str) -> str:
    """Return the id of a run that is to be gone on with.

    Raises:
        UsageError: there is no such run, or it is of other settings or other code.
        UnreachableError: MLflow does not answer.
    """
    try:
        run = open_client(uri).get_run(run_id)
    except MlflowException as error:
        raise UsageError(
            f"There is no MLflow run {run_id} at {uri}; correct mlflow_run_id, or leave it out."
        ) from error
    if run.data.tags.get(FINGERPRINT_TAG) != fingerprint:
        raise UsageError(
            f"MLflow run {run_id} is of other settings, another seed, another beginning or other code; restore those "
            "(code_version for the code), or leave mlflow_run_id out for a new run."
        )
    return str(run.info.run_id)


def find_unfinished(uri: str, experiment: str, fingerprint: str, job: str) -> str | None:
    """Return the newest run with this fingerprint that the job opened, or that failed or was killed; None if none."""
    found = _search(open_client(uri, new=True), experiment, {FINGERPRINT_TAG: fingerprint})
    chosen = (run for run in found if run.data.tags.get(JOB_TAG) == job or run.info.status in UNFINISHED)
    return next((str(run.info.run_id) for run in chosen), None)


def continue_run(uri: str, run_id: str, job: str) -> None:
    """Mark a run as RUNNING and as the job's."""
    client = open_client(uri)
    client.update_run(run_id, status="RUNNING")
    client.set_tag(run_id, JOB_TAG, job)
    client.set_tag(run_id, OUTCOME_TAG, "")


def runs_of_job(uri: str, experiment: str, job: str) -> list[str]:
    """Return the ids of the runs that a job opened, not of those nested in them, newest first."""
    client = open_client(uri, new=True)  # a job that ended before it opened a run leaves no store behind
    return [str(run.info.run_id) for run in _search(client, experiment, {JOB_TAG: job})]


def runs_of_group(uri: str, experiment: str, group: str) -> list[str]:
    """Return the ids of the runs that the jobs of one ablation opened, where it is more than one job; newest first."""
    jobs = {run.data.tags[JOB_TAG]: None for run in _search(open_client(uri), experiment, {GROUP_TAG: group})}
    return [run_id for job in jobs for run_id in runs_of_job(uri, experiment, job)]


def end_run(uri: str, run_id: str, status: str, outcome: str) -> None:
    """Close a run that still goes on, with all that is nested in it, and say why it ended; see `close_runs`."""
    client = open_client(uri)
    if client.get_run(run_id).info.status in OPEN:
        client.set_tag(run_id, OUTCOME_TAG, outcome)
        close_runs(uri, run_id, status)


def leave_to_close(folder: Path, uri: str, experiment: str, job: str, status: str, outcome: str) -> Path:
    """Write down, for `agent0 tracking flush`, how the runs of a job ended that MLflow could not be told of.

    Args:
        folder: of tracking buffers; see `agent0.tracking.tracking_location.buffer_folder`.
        uri: tracking store.
        experiment: the job's.
        job: whose runs are to be closed.
        status: FINISHED, FAILED or KILLED.
        outcome: why they ended.

    Returns:
        The buffer.
    """
    journal = Journal(folder / f"closing-{job}.jsonl")
    said = {"uri": uri, "experiment": experiment, "job": job, "status": status, "outcome": outcome}
    journal.append({"run": "job", "kind": "closing", **said})
    journal.close()
    return journal.path


def close_left(note: Entry, uri: str) -> None:
    """Close the runs of a job whose ending `leave_to_close` wrote down, in the store at `uri`."""
    with explaining(uri):
        for run_id in runs_of_job(uri, note["experiment"], note["job"]):
            end_run(uri, run_id, note["status"], note["outcome"])


def look_at(uri: str, run_id: str) -> JobRun:
    """Return what there is of a run, its stages in the order in which they began."""
    client = open_client(uri)
    run = client.get_run(run_id)
    nested = [item for item in nested_runs(client, run) if item.data.tags.get(KIND_TAG) == "stage"]
    stages = [
        StageRun(
            str(item.info.run_name),
            str(item.info.status),
            {name: value for name, value in item.data.metrics.items() if name.startswith(SHOWN_METRICS)},
        )
        for item in sorted(nested, key=lambda item: item.info.start_time)
    ]
    return JobRun(
        run_id=run_id,
        name=str(run.info.run_name),
        kind=str(run.data.tags.get(KIND_TAG, "")),
        status=str(run.info.status),
        link=charts_of(uri, run.info.experiment_id, run_id) if uri.startswith(("http://", "https://")) else "",
        files=tuple(item.path for item in client.list_artifacts(run_id)),
        stages=tuple(stages),
    )


def charts_below(uri: str, server: str, run_id: str = "") -> str:
    """Return the address of the charts of a run, or of the newest evolution, where `server` serves the store at `uri`.

    Where there is no evolution yet, it is the server's own.
    """
    client = open_client(uri)
    with explaining(uri):
        if run_id:
            return charts_of(server, client.get_run(run_id).info.experiment_id, run_id)
        places = [item.experiment_id for item in client.search_experiments()]
        newest = ["attributes.start_time DESC"]
        query = f"tags.`{KIND_TAG}` = 'evolution'"
        found = client.search_runs(places, query, order_by=newest, max_results=1)
    return charts_of(server, found[0].info.experiment_id, found[0].info.run_id) if found else server


def keeps(uri: str, run_id: str, name: str) -> bool:
    """Whether a run has the artifact `name` at the top."""
    return any(item.path == name for item in open_client(uri).list_artifacts(run_id))


def keep_file(uri: str, run_id: str, path: str) -> None:
    """Log a file as an artifact of a run."""
    open_client(uri).log_artifact(run_id, path)


def _search(client: MlflowClient, experiment: str, tags: Mapping[str, str]) -> Iterator[Run]:
    found = client.get_experiment_by_name(experiment)
    if found is not None:
        query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        place, newest = [found.experiment_id], ["attributes.start_time DESC"]
        yield from pages(lambda token: client.search_runs(place, query, order_by=newest, page_token=token))
