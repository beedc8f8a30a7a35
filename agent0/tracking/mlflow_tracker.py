"""MLflow: one run per evolution or evaluation and one nested run per stage, written through the client API.

Metrics go out in batches, one request per step, because each request costs a password hash on a server with basic
authentication. Where Kubeflow's own MLflow plugin has opened a run for the task (`MLFLOW_RUN_ID`), that run is used and
left open for the plugin to close.
"""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from agent0.errors import Agent0Error
from agent0.tracking.origin import Origin
from agent0.tracking.registry import register

MAX_PARAM_LENGTH = 6000
MAX_BATCH = 100  # params or tags per request
HEALTH_TIMEOUT_SECONDS = 10.0


class MlflowTracker:
    """Writes to one MLflow run."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """See `agent0.tracking.Tracker`."""
        now = int(time.time() * 1000)
        self._client.log_batch(
            self.run_id, metrics=[Metric(name, float(value), now, step) for name, value in metrics.items()]
        )

    def log_params(self, params: Mapping[str, Any]) -> None:
        """See `agent0.tracking.Tracker`."""
        entries = [Param(name, str(value)[:MAX_PARAM_LENGTH]) for name, value in params.items()]
        for start in range(0, len(entries), MAX_BATCH):
            self._client.log_batch(self.run_id, params=entries[start : start + MAX_BATCH])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `agent0.tracking.Tracker`."""
        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def log_file(self, path: Path, folder: str = "") -> None:
        """See `agent0.tracking.Tracker`."""
        self._client.log_artifact(self.run_id, str(path), folder or None)

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """See `agent0.tracking.Tracker`."""
        if rows:
            columns: dict[str, list[Any]] = {key: [row[key] for row in rows] for key in rows[0]}
            self._client.log_table(self.run_id, columns, name)

    def set_status(self, status: str) -> None:
        """See `agent0.tracking.Tracker`."""
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            self._client.set_terminated(self.run_id, status)

    def register_model(self, name: str, folder: Path, uri: str, origin: Origin) -> str:
        """See `agent0.tracking.Tracker`."""
        return register(self._client, self.run_id, name, folder, uri, origin)


def open_client(uri: str) -> MlflowClient:
    """Return a client of a tracking server that answers.

    Raises:
        Agent0Error: nothing answers at an http(s) address.
    """
    if uri.startswith(("http://", "https://")):
        try:
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_SECONDS).close()
        except urllib.error.HTTPError:
            pass  # it answers; an authenticating proxy may refuse this path
        except (urllib.error.URLError, OSError) as error:
            raise Agent0Error(
                f"MLflow does not answer at {uri} ({error}); start it, or set MLFLOW_TRACKING_URI to one that runs."
            ) from error
    return MlflowClient(tracking_uri=uri)


def start_run(uri: str, experiment: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Open the parent run of an evolution or evaluation, or take the one of Kubeflow's plugin; return its id."""
    client = open_client(uri)
    run_id = os.environ.get("MLFLOW_RUN_ID") or client.create_run(_experiment(client, uri, experiment)).info.run_id
    tracker = MlflowTracker(client, run_id)
    tracker.set_tags({MLFLOW_RUN_NAME: name, **tags})
    tracker.log_params(params)
    return str(run_id)


@contextmanager
def stage_run(
    uri: str, parent_run_id: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[tuple[MlflowTracker, MlflowTracker]]:
    """Open a run nested in `parent_run_id` for the length of the block; it ends as FINISHED or FAILED.

    Yields the trackers of the nested run and of its parent.
    """
    client = open_client(uri)
    injected = os.environ.get("MLFLOW_RUN_ID")
    run_id = injected or client.create_run(client.get_run(parent_run_id).info.experiment_id).info.run_id
    tracker = MlflowTracker(client, run_id)
    tracker.set_tags({MLFLOW_RUN_NAME: name, MLFLOW_PARENT_RUN_ID: parent_run_id, **tags})
    tracker.log_params(params)
    status = "FAILED"
    try:
        yield tracker, MlflowTracker(client, parent_run_id)
        status = "FINISHED"
    finally:
        if not injected:
            client.set_terminated(run_id, status)


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of the experiment, creating it; beside a SQLite store its artifacts lie in `mlartifacts`."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        location = (Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=location))
