"""Bringing a journal's entries to MLflow, so that each arrives once however often it is sent.

MLflow ignores a metric point, a parameter or a dataset that it has already, tags and files are overwritten by the same,
and whatever would be made anew (runs, traces, versions of models) is looked for first, by a key that the sender chose.
Metrics, parameters and tags that follow each other go out in one request, because each request costs a password hash on
a server with basic authentication. An entry that MLflow refuses for what it is, such as a metric of an odd name, is put
aside: the run's tag `agent0.refused` names it, and the rest goes on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_LOGGED_ARTIFACTS, MLFLOW_PARENT_RUN_ID

from agent0.errors import Agent0Error, warn
from agent0.tracking.entry_batches import SMALL, batches, halves, named
from agent0.tracking.journal import Entry, Journal
from agent0.tracking.model_origin import Evaluated, Origin
from agent0.tracking.registry import register
from agent0.tracking.traces import send_trace
from agent0.tracking.version_scores import trained_version, write_scores

KEY_TAG = "agent0.key"
"""Tag with the key that a run's maker chose for it; only runs that we made have it."""
REFUSED_TAG = "agent0.refused"
"""Tag of a run that names the entries which MLflow did not take."""
MAX_TAG_LENGTH = 8000
TRY_AGAIN = {408, 425, 429}
OF_THE_ENTRY = {400, 409, 413, 422}


class RefusedError(Agent0Error):
    """MLflow answers, and will not take it: waiting does not help."""


class EntryRefusedError(RefusedError):
    """MLflow will not take one of the entries that it is sent, for what that is."""


class UnreachableError(Agent0Error):
    """MLflow does not answer, or cannot at the moment: later it may."""


class Delivery:
    """Sends the entries of one journal.

    Args:
        client: of the store that the journal was opened for.
        opening: the journal's last entry of kind `open`: the runs that its entries are for.
        warn: is told of each entry that is put aside.
    """

    def __init__(self, client: MlflowClient, opening: Entry, warn: Callable[[str], None] = warn) -> None:
        self._client = client
        self._opening = opening
        self._warn = warn
        self._experiment = ""
        self._runs: dict[str, str] = {"evolution": opening["evolution_id"]}

    def send(self, journal: Journal) -> None:
        """Send everything that waits in `journal`, noting there what has arrived.

        Raises:
            UnreachableError, RefusedError: what was not sent yet stays.
        """
        for batch in batches(journal.undelivered()):
            self._deliver(batch)
            journal.mark_delivered(batch[-1]["n"])

    def run_id(self, name: str) -> str:
        """Return the id of `stage`, `evolution` or `iteration N`; the stage's run is made if needed."""
        if name not in self._runs:
            self._runs[name] = self._stage_run() if name == "stage" else self._iteration_run(name)
        return self._runs[name]

    def _deliver(self, batch: list[Entry]) -> None:
        """Send a batch; where MLflow refuses a part of it, find that by halves and put it aside."""
        try:
            with explaining(self._client.tracking_uri):
                self._send(batch)
        except EntryRefusedError as error:
            parts = halves(batch)
            if not parts:
                self._put_aside(batch[0], error)
            for part in parts:
                self._deliver(part)

    def _put_aside(self, entry: Entry, refusal: EntryRefusedError) -> None:
        """Name an entry in its run, which shows that it is the entry that is refused, not whatever the run is sent.

        Raises:
            RefusedError: the run takes no tag either, or nothing can do without the entry.
        """
        if entry["kind"] in ("open", "status"):
            raise refusal
        name = named(entry)
        with explaining(self._client.tracking_uri):
            run_id = self.run_id(entry["run"])
            earlier = self._client.get_run(run_id).data.tags.get(REFUSED_TAG)
            lines = [*(earlier.splitlines() if earlier else ()), name]
            self._client.set_tag(run_id, REFUSED_TAG, "\n".join(dict.fromkeys(lines))[:MAX_TAG_LENGTH])
        self._warn(f"{refusal} It was {name}, which is put aside (tag {REFUSED_TAG}); the rest goes on.")

    def _send(self, batch: list[Entry]) -> None:
        kind, first = batch[0]["kind"], batch[0]
        if kind in SMALL:
            self._send_small(batch)
        elif kind == "open":
            self._open(first)
        elif kind == "file":
            self._send_file(self.run_id(first["run"]), first["path"], unpacked(first["data"]))
        elif kind == "table":
            self._send_table(self.run_id(first["run"]), first["path"], first["content"])
        elif kind == "dataset":
            self._client.log_inputs(self.run_id(first["run"]), datasets=[_dataset(first)])
        elif kind == "trace":
            send_trace(self._client, self._experiment_id(), self.run_id(first["run"]), first["trace"])
        elif kind == "status":
            self._set_status(self.run_id(first["run"]), first["status"], first["time"])
        elif kind == "model":
            origin = Origin(**first["origin"])
            register(
                self._client, self.run_id(first["run"]), first["name"], Path(first["folder"]), first["uri"], origin
            )
        elif kind == "evaluation":
            self._record_evaluation(self.run_id(first["run"]), first["name"], first["evaluated"])
        else:
            raise RefusedError(f"This tracking buffer holds {kind!r}, which another version of Agent0 wrote.")

    def _send_small(self, batch: list[Entry]) -> None:
        metrics, params, tags = [], [], []
        for entry in batch:
            for name, value in entry["values"].items():
                if entry["kind"] == "metrics":
                    metrics.append(Metric(name, value, entry["time"], entry["step"]))
                elif entry["kind"] == "params":
                    params.append(Param(name, value))
                else:
                    tags.append(RunTag(name, value))
        self._client.log_batch(self.run_id(batch[0]["run"]), metrics=metrics, params=params, tags=tags)

    def _open(self, entry: Entry) -> None:
        """Make the stage's run, or go on with the one of an earlier attempt; the iteration has begun with it."""
        self._opening = entry
        run = self._client.get_run(self.run_id("stage"))
        if run.info.status != "RUNNING" and not entry["injected"]:
            self._client.update_run(run.info.run_id, status="RUNNING")
        iteration = self.run_id(f"iteration {entry['iteration']}")
        status = self._client.get_run(iteration).info.status
        if iteration != entry["evolution_id"] and status not in ("RUNNING", "FINISHED"):
            self._client.update_run(iteration, status="RUNNING")
        tags = {**entry["tags"], MLFLOW_PARENT_RUN_ID: iteration}
        self._client.log_batch(run.info.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _record_evaluation(self, run_id: str, name: str, entry: Entry) -> None:
        evaluated = Evaluated(**{**entry, "folder": Path(entry["folder"]), "files": tuple(entry["files"])})
        version = trained_version(self._client, name, evaluated)
        if version is None:
            raise EntryRefusedError(
                f"{name} has no version of what round {evaluated.iteration} of {evaluated.evolution_run_id} made; "
                "deliver the buffer of its training first."
            )
        write_scores(self._client, version, evaluated, run_id)

    def _stage_run(self) -> str:
        opening = self._opening
        if opening["injected"]:
            return str(opening["injected"])
        found = find_run(self._client, self._experiment_id(), opening["key"])
        if found is not None:
            return str(found.info.run_id)
        iteration = self.run_id(f"iteration {opening['iteration']}")
        tags = {**opening["tags"], KEY_TAG: opening["key"], MLFLOW_PARENT_RUN_ID: iteration}
        made = self._client.create_run(
            self._experiment_id(), start_time=opening["time"], tags=tags, run_name=opening["name"]
        )
        return str(made.info.run_id)

    def _iteration_run(self, name: str) -> str:
        """Return an iteration's run; an evaluation has none, and what would go there goes to its own run."""
        evolution, number = self._opening["evolution_id"], int(name.removeprefix("iteration "))
        found = find_run(self._client, self._experiment_id(), run_key(evolution, number))
        return str(evolution) if found is None else str(found.info.run_id)

    def _experiment_id(self) -> str:
        if not self._experiment:
            self._experiment = str(self._client.get_run(self._opening["evolution_id"]).info.experiment_id)
        return self._experiment

    def _set_status(self, run_id: str, status: str, time: int) -> None:
        if run_id == self._opening["injected"]:
            return  # whoever opened it ends it
        if status == "RUNNING":
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(run_id, status, time)

    def _send_file(self, run_id: str, path: str, content: bytes) -> None:
        folder, _, name = path.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="agent0-artifact-") as temporary:
            (Path(temporary) / name).write_bytes(content)
            self._client.log_artifact(run_id, str(Path(temporary) / name), folder or None)

    def _send_table(self, run_id: str, path: str, content: dict[str, Any]) -> None:
        """Write the table as MLflow's own client would, which appends to what is there and so is no use here."""
        self._send_file(run_id, path, json.dumps(content, ensure_ascii=False).encode())
        known = json.loads(self._client.get_run(run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        table = {"path": path, "type": "table"}
        if table not in known:
            self._client.set_tag(run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*known, table]))


def run_key(evolution_id: str, iteration: int, *stage: str) -> str:
    """Return the key under which an iteration's run is made and found, or with `stage` that of a stage's run."""
    return hashlib.sha256("/".join([evolution_id, str(iteration), *stage]).encode()).hexdigest()


def find_run(client: MlflowClient, experiment: str, key: str) -> Run | None:
    """Return the run that was made under `key`, if there is one."""
    found = client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
    return found[0] if found else None


@contextmanager
def explaining(uri: str) -> Iterator[None]:
    """Turn the errors of MLflow and of the connection to it in the block into sentences.

    Raises:
        UnreachableError, RefusedError: MLflow at `uri` does not answer, or refuses.
    """
    try:
        yield
    except MlflowException as error:
        raise explained(error, uri) from error
    except (OSError, ValueError) as error:  # of the connection, or of an answer that is no JSON
        raise UnreachableError(f"MLflow at {uri} cannot be reached: {error}.") from error
    except Agent0Error as error:
        if isinstance(error.__cause__, MlflowException):
            raise explained(error.__cause__, uri) from error
        raise


def explained(error: MlflowException, uri: str) -> RefusedError | UnreachableError:
    """Return what an error of MLflow's means for whoever waits for it, as a sentence."""
    status = error.get_http_status_code()
    reason = str(error).strip().splitlines()[0].rstrip(".")
    if status in (401, 403):
        return RefusedError(
            f"MLflow at {uri} refuses these credentials ({reason}); set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN) of a user who may write to the experiment."
        )
    if 400 <= status < 500 and status not in TRY_AGAIN:
        kind = EntryRefusedError if status in OF_THE_ENTRY else RefusedError
        return kind(f"MLflow at {uri} refuses what it is sent: {reason}.")
    return UnreachableError(f"MLflow at {uri} cannot be reached: {reason}.")


def packed(content: bytes) -> str:
    """Return bytes as text for a journal."""
    return base64.b64encode(zlib.compress(content, 1)).decode("ascii")


def unpacked(text: str) -> bytes:
    """Return the bytes that `packed` packed."""
    return zlib.decompress(base64.b64decode(text))


def _dataset(entry: Entry) -> DatasetInput:
    source, profile = json.dumps(entry["source"]), json.dumps(entry["profile"])
    dataset = Dataset(entry["name"], entry["digest"], "agent0", source, profile=profile)
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, entry["context"])])
