"""The runs of an evolution: opened by its first stage, found by every other, closed at its end.

An evolution's run holds one nested run per planned iteration, and these the runs of the stages. The iterations' runs
are all made at once, by the one stage that runs alone, so no two stages can make the same one. Where Kubeflow's MLflow
plugin has opened runs (`MLFLOW_RUN_ID` is the task's), the task's run is the stage's, the run that it is nested in is
the evolution's, and both are left for the plugin to close.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.entities import Param, Run, RunTag
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from agent0.errors import reason_of
from agent0.tracking.delivery import KEY_TAG, RefusedError, UnreachableError, explaining, run_key
from agent0.tracking.entry_batches import MAX_NAMES
from agent0.tracking.own_place import ARTIFACTS_FOLDER, PLACE_TAG, settle
from agent0.tracking.registry import pages
from agent0.tracking.review import NOTE_TAG, origin_tags
from agent0.tracking.tracking_location import absolute, store_file

HEALTH_TIMEOUT_SECONDS = 5.0
HEALTHY = b"OK"
"""What MLflow's server says under /health."""
REQUEST_TIMEOUT_SECONDS = 30
MAX_PARAM_LENGTH = 6000
KIND_TAG = "agent0.kind"
INCOMPLETE_TAG = "agent0.incomplete"
OPEN = ("RUNNING", "SCHEDULED")


def open_client(uri: str, *, new: bool = False) -> MlflowClient:
    """Return a client of a tracking server that answers, or of a store that is there; see `make_client`.

    Args:
        uri: of the store.
        new: whether a SQLite store may be made, which asking one for anything would do.

    Raises:
        UnreachableError: nothing answers at an http(s) address, or no tracking server.
        RefusedError: there is or can be no store at `uri`, or the server refuses the credentials.
    """
    file = store_file(uri)
    if not new and file is not None and not file.exists():
        raise RefusedError(
            f"There is no tracking store at {file}: nothing was tracked there yet. Change to the folder that the runs "
            "were started in, or name their store by MLFLOW_TRACKING_URI."
        )
    settle(uri)
    if require_server(uri):
        return make_client(uri)
    client = make_client(uri)
    with explaining(uri):  # a proxy may keep the server's state to itself and let requests with credentials through
        client.search_experiments(max_results=1)
    return client


def make_client(uri: str) -> MlflowClient:
    """Return a client that asks once, gives up early and prints nothing: its user knows better when to ask again.

    Raises:
        RefusedError: there can be no store at `uri`.
    """
    quiet = {
        MLFLOW_HTTP_REQUEST_MAX_RETRIES: "0",
        MLFLOW_HTTP_REQUEST_TIMEOUT: str(REQUEST_TIMEOUT_SECONDS),
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR: "false",
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT: "true",
    }
    for variable, value in quiet.items():
        os.environ.setdefault(variable.name, value)
    try:
        with _alone(store_file(uri)):
            return MlflowClient(tracking_uri=absolute(uri))
    except Exception as error:  # of MLflow, SQLAlchemy, or the driver of a database, which all are the address's
        reason = reason_of(error)
        raise RefusedError(
            f"At {uri} no MLflow store can be opened ({reason:.300}); correct MLFLOW_TRACKING_URI, or what is there."
        ) from error


@contextmanager
def _alone(file: Path | None) -> Iterator[None]:
    """Hold a lock on the folder of a SQLite store: two processes that make its tables at once spoil them.

    MLflow's own lock lies in the folder for temporary files, which each task of a pipeline has for itself.
    """
    if file is None or not file.parent.is_dir():
        yield
        return
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def require_server(uri: str) -> bool:
    """Check that something answers at an http(s) address; a store that is no server needs no check.

    Returns:
        Whether it answers as a tracking server does; an authenticating proxy before one may not.

    Raises:
        UnreachableError: nothing answers.
    """
    if not uri.startswith(("http://", "https://")):
        return True
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_SECONDS) as answer:
            return bool(answer.read(len(HEALTHY) + 1).strip() == HEALTHY)
    except urllib.error.HTTPError:
        return False
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UnreachableError(
            f"MLflow does not answer at {uri} ({reason_of(error)}); start it, or set MLFLOW_TRACKING_URI to one that "
            "runs."
        ) from error


def param_text(value: object) -> str:
    """Return a setting as MLflow keeps it; the end of one that is too long is left out, which its last sign says."""
    text = str(value)
    return text if len(text) <= MAX_PARAM_LENGTH else f"{text[: MAX_PARAM_LENGTH - 1]}…"


def start_run(
    uri: str,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    iterations: Iterable[int] = (),
    texts: Mapping[str, str] | None = None,
    note: str = "",
) -> str:
    """Open the run of an evolution or evaluation, or take the one of Kubeflow's plugin; return its id.

    Args:
        uri: tracking store.
        experiment: is made if there is none.
        name: of the run.
        params: settings.
        tags: of the run; the word before the name's first space says what it is.
        iterations: numbers of the iterations that will have runs in it.
        texts: files to keep as artifacts, by name.
        note: its description, in Markdown.

    Raises:
        UnreachableError: MLflow does not answer.
        RefusedError: it refuses.
    """
    client = open_client(uri, new=True)
    kind = name.partition(" ")[0]
    with explaining(uri):
        run = _injected_root(client) or client.create_run(
            _experiment(client, experiment), tags={KEY_TAG: uuid.uuid4().hex, **origin_tags(kind)}, run_name=name
        )
        run_id = str(run.info.run_id)
        all_tags = {**tags, KIND_TAG: kind} | ({NOTE_TAG: note} if note else {})
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in all_tags.items()])
        entries = [Param(key, param_text(value)) for key, value in params.items()]
        for start in range(0, len(entries), MAX_NAMES):
            client.log_batch(run_id, params=entries[start : start + MAX_NAMES])
        for file, text in (texts or {}).items():
            client.log_text(run_id, text, file)
        for number in iterations:
            _schedule_iteration(client, str(run.info.experiment_id), run_id, number, name)
    return run_id


def check_run(client: MlflowClient, evolution_id: str, injected: str = "") -> Run:
    """Return the run of an evolution or evaluation, having checked that a stage can write to it.

    Args:
        client: of the store.
        evolution_id: the run.
        injected: the run that Kubeflow's plugin opened for the stage, if it did.

    Raises:
        UnreachableError: MLflow does not answer.
        RefusedError: the credentials are wrong, or there is no such run in this experiment.
    """
    require_server(client.tracking_uri)
    with explaining(client.tracking_uri):
        run = client.get_run(evolution_id)
        experiment = str(run.info.experiment_id)
        if run.info.lifecycle_stage != "active" or KIND_TAG not in run.data.tags:
            raise RefusedError(
                f"The MLflow run {evolution_id} is no evolution or evaluation of Agent0, or was deleted; give the id "
                "that the stage `opening` printed."
            )
        expected = str(client.get_run(injected).info.experiment_id) if injected else ""
        expected = expected or os.environ.get("MLFLOW_EXPERIMENT_ID", experiment)
        if expected != experiment:
            raise RefusedError(
                f"The MLflow run {evolution_id} is of experiment {experiment}, and this stage tracks to experiment "
                f"{expected}; give the id of a run of that one."
            )
        return run


def close_runs(uri: str, run_id: str, status: str) -> None:
    """End an evolution or evaluation and whatever of its runs still goes on; to be called when nothing more will run.

    Runs that Kubeflow's plugin opened are left for it to close. A FINISHED evolution in which something never ended is
    tagged `agent0.incomplete`, and those runs are left as they are: MLflow has not been told how they ended.

    Args:
        uri: tracking store.
        run_id: run of the evolution or evaluation.
        status: FINISHED, FAILED or KILLED.

    Raises:
        UnreachableError, RefusedError: MLflow does not answer, or refuses.
    """
    client = make_client(uri)
    run = check_run(client, run_id)
    with explaining(uri):
        going_on = [item for item in nested_runs(client, run) if item.info.status in OPEN]
        if status == "FINISHED" and going_on:
            client.set_tag(run_id, INCOMPLETE_TAG, ", ".join(sorted(item.info.run_name for item in going_on)))
        for item in going_on if status != "FINISHED" else []:
            if KEY_TAG in item.data.tags:
                client.set_terminated(item.info.run_id, "KILLED" if item.info.status == "SCHEDULED" else status)
        if KEY_TAG in run.data.tags:
            client.set_terminated(run_id, status)


def nested_runs(client: MlflowClient, run: Run) -> Iterator[Run]:
    """Yield the runs nested in a run, at any depth."""
    query = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'"
    found: Iterator[Run] = pages(lambda token: client.search_runs([run.info.experiment_id], query, page_token=token))
    for child in found:
        yield child
        yield from nested_runs(client, child)


def _injected_root(client: MlflowClient) -> Run | None:
    """Return the run in which Kubeflow's plugin nested this task's, or that one where it is nested in none."""
    injected = os.environ.get("MLFLOW_RUN_ID")
    if not injected:
        return None
    run = client.get_run(injected)
    parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID)
    return client.get_run(parent) if parent else run


def _schedule_iteration(client: MlflowClient, experiment: str, evolution_id: str, number: int, name: str) -> None:
    what = f"Round {number}" if number else "The model that it begins with, and its evaluation,"
    tags = {
        **origin_tags(name.partition(" ")[0]),
        NOTE_TAG: f"{what} of {name}; nested in it is a run for each stage.",
        KEY_TAG: run_key(evolution_id, number),
        KIND_TAG: "iteration",
        "agent0.iteration": str(number),
        MLFLOW_PARENT_RUN_ID: evolution_id,
    }
    run = client.create_run(experiment, tags=tags, run_name=f"iteration {number}")
    client.update_run(run.info.run_id, status="SCHEDULED")


def _experiment(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment, creating it; its artifacts lie beside a SQLite store."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    file = store_file(client.tracking_uri)
    if file is None:
        return str(client.create_experiment(name))
    location = (file.parent / ARTIFACTS_FOLDER).as_uri()
    return str(client.create_experiment(name, artifact_location=location, tags={PLACE_TAG: str(file)}))
