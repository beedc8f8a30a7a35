"""The tracker of a stage: everything goes to the journal on disk, in order, and a thread brings it to MLflow."""

from __future__ import annotations

import io
import itertools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES

from agent0.errors import Agent0Error
from agent0.storage.digest import LEFTOVER_FILE
from agent0.tracking.beside import BesideTracker, TrackedRun, open_run
from agent0.tracking.delivery import MAX_TAG_LENGTH, UnreachableError, packed, run_key
from agent0.tracking.entry_batches import MAX_NAMES, MAX_POINTS
from agent0.tracking.journal import Journal, JournalInUseError
from agent0.tracking.mlflow_runs import check_run, make_client, param_text
from agent0.tracking.model_origin import Evaluated, Origin
from agent0.tracking.sender import Sender
from agent0.tracking.tracker import TrackedDataset, Tracker
from agent0.tracking.tracking_location import buffer_folder

MAX_DIGEST_LENGTH = 36
MAX_FILE_BYTES = 64 << 20
THUMBNAIL_PIXELS = 256
PATIENCE_VARIABLE = "AGENT0_TRACKING_PATIENCE"
PATIENCE_SECONDS = 20.0


class BufferedTracker(Tracker):
    """Writes to one of the runs of a journal: the stage's, its iteration's or the evolution's."""

    def __init__(self, journal: Journal, run: str) -> None:
        self._journal = journal
        self._run = run

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """See `Tracker`; a point that an earlier attempt of the stage has logged stays as it is."""
        earlier = self._journal.earlier_points
        new = {name: float(v) for name, v in metrics.items() if (self._run, name, step) not in earlier}
        for values in _chunks(new, MAX_POINTS):
            self._add("metrics", values=values, step=step)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        for values in _chunks({name: param_text(value) for name, value in params.items()}, MAX_NAMES):
            self._add("params", values=values)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""
        for values in _chunks({name: value[:MAX_TAG_LENGTH] for name, value in tags.items()}, MAX_NAMES):
            self._add("tags", values=values)

    def log_file(self, path: Path, folder: str = "") -> None:
        """See `Tracker`.

        Raises:
            Agent0Error: the file is too large to go through the buffer.
        """
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise Agent0Error(
                f"{path} has {size >> 20} MiB; a file that is kept in MLflow may have {MAX_FILE_BYTES >> 20}. Keep it "
                "in the stage's output."
            )
        self._add_file(f"{folder}/{path.name}" if folder else path.name, path.read_bytes())

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """See `Tracker`."""
        if rows:
            columns = list(rows[0])
            data = [[row[column] for column in columns] for row in rows]
            self._add("table", path=name, content={"columns": columns, "data": data})

    def log_image(self, path: Path, key: str, step: int) -> None:
        """See `Tracker`; the names of the files are those by which MLflow's pages find them."""
        from PIL import Image

        with Image.open(path) as image:
            image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
            small = io.BytesIO()
            image.save(small, "webp")
        name = f"images/{key.replace('/', '~')}+step+{step}+timestamp+{step}+agent0"
        self._add_file(f"{name}.png", path.read_bytes())
        self._add_file(f"{name}+compressed.webp", small.getvalue())
        self.set_tags({MLFLOW_LOGGED_IMAGES: "True"})

    def log_dataset(self, dataset: TrackedDataset) -> None:
        """See `Tracker`; MLflow shows the first 36 characters of a digest, its source holds all."""
        self._add(
            "dataset",
            name=dataset.name,
            digest=dataset.digest[:MAX_DIGEST_LENGTH],
            context=dataset.context,
            source={"uri": dataset.source, "sha256": dataset.digest},
            profile=dict(dataset.profile),
        )

    def log_trace(self, trace: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._add("trace", trace=dict(trace))

    def set_status(self, status: str) -> None:
        """See `Tracker`."""
        self._add("status", status=status)

    def register_model(self, name: str, folder: Path, uri: str, origin: Origin) -> None:
        """See `Tracker`; it is registered when the entry is delivered."""
        self._add("model", name=name, folder=str(folder.resolve()), uri=uri, origin=vars(origin))

    def record_evaluation(self, name: str, evaluated: Evaluated) -> None:
        """See `Tracker`; it is written when the entry is delivered."""
        self._add("evaluation", name=name, evaluated={**vars(evaluated), "folder": str(evaluated.folder.resolve())})

    def _add_file(self, path: str, content: bytes) -> None:
        self._add("file", path=path, data=packed(content))

    def _add(self, kind: str, **fields: Any) -> None:
        self._journal.append({"run": self._run, "kind": kind, "time": int(time.time() * 1000), **fields})


@dataclass
class TrackingSession:
    """The tracking of one stage while it runs.

    Attributes:
        tracker: writes to the stage's own run.
        evolution: writes to the run of the whole evolution or evaluation.
    """

    tracker: BesideTracker
    evolution: BesideTracker
    iteration: Callable[[int], BesideTracker]
    journal: Journal
    sender: Sender
    temporary: Path | None
    closed: bool = False

    def close(self, status: str, output: Path | None = None) -> str:
        """Set the stage's final status, wait a bounded time for MLflow, and say where what it did not take lies.

        Args:
            status: FINISHED or FAILED.
            output: folder of the finished stage; it gets the leftovers where no other place outlives the process.

        Returns:
            The file with the leftovers; "" if there are none.
        """
        if self.closed:
            return ""
        self.closed = True
        self.tracker.set_status(status)
        arrived = self.sender.close(patience())
        path = self.journal.path
        if arrived:
            self.journal.close()
            if status == "FINISHED":
                path.unlink()
            self._clean()
            return ""
        self.journal.release()
        if self.temporary is None or output is None:
            return str(path)
        shutil.copyfile(path, output / LEFTOVER_FILE)
        self._clean()
        return str(output / LEFTOVER_FILE)

    def why(self) -> str:
        """Return what keeps MLflow from taking the rest."""
        return self.sender.trouble or "MLflow was too slow."

    def _clean(self) -> None:
        if self.temporary is not None:
            shutil.rmtree(self.temporary)


def open_session(
    uri: str,
    evolution_id: str,
    iteration: int,
    name: str,
    *,
    part: str,
    fingerprint: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    warn: Callable[[str], None],
    also: Sequence[str] = (),
) -> TrackingSession:
    """Open the tracking of a stage of the evolution whose run is `evolution_id`; MLflow may be down.

    An attempt that was cut short goes on in the run of the first, as long as its settings and inputs are the same.

    Args:
        uri: tracking store.
        evolution_id: run of the evolution or evaluation.
        iteration: the stage's.
        name: the stage's.
        part: the pod's share, where several work side by side.
        fingerprint: digest of what the stage's result depends on.
        params: settings of the stage.
        tags: of its run.
        warn: is told of trouble that stops nothing.
        also: names of trackers beside MLflow.

    Raises:
        RefusedError: MLflow answers and refuses: wrong credentials, or no such run in this experiment.
        Agent0Error: the buffer cannot be written, or a tracker beside MLflow cannot be opened.
    """
    injected = os.environ.get("MLFLOW_RUN_ID", "")
    label = f"{iteration} {name}{f' {part}' if part else ''}"
    own_run = TrackedRun(evolution_id, label)
    others = {other: open_run(other, own_run) for other in also}
    client = make_client(uri)
    try:
        check_run(client, evolution_id, injected)
    except UnreachableError as error:
        warn(f"{error} The stage runs on; what it logs waits on disk.")
    key = run_key(evolution_id, iteration, name, part, fingerprint)
    root = buffer_folder()
    temporary = None if root else Path(tempfile.mkdtemp(prefix="agent0-tracking-"))
    journal = _free_journal((root or temporary or Path()) / evolution_id, f"{iteration}-{name}-{key[:12]}")
    journal.append(
        {
            "run": "stage",
            "kind": "open",
            "uri": uri,
            "evolution_id": evolution_id,
            "injected": injected,
            "key": key,
            "stage": name,
            "iteration": iteration,
            "name": label,
            "tags": {tag: value[:MAX_TAG_LENGTH] for tag, value in tags.items()},
            "time": int(time.time() * 1000),
        }
    )

    def beside(run: str) -> BesideTracker:
        return BesideTracker(BufferedTracker(journal, run), TrackedRun(evolution_id, run), also, warn)

    stage = BesideTracker(BufferedTracker(journal, "stage"), own_run, also, warn, others)
    stage.log_params(params)
    stage.tell(lambda other: other.set_tags(tags))
    sender = Sender(client, journal, warn)
    sender.start()
    return TrackingSession(
        stage,
        beside("evolution"),
        lambda number: beside(f"iteration {number}"),
        journal,
        sender,
        temporary,
    )


def patience() -> float:
    """Return how many seconds the end of a stage waits for MLflow."""
    given = os.environ.get(PATIENCE_VARIABLE)
    if given is None:
        return PATIENCE_SECONDS
    if not re.fullmatch(r"\d+(\.\d+)?", given):
        raise Agent0Error(f"{PATIENCE_VARIABLE} is {given!r}; give a number of seconds, such as 20.")
    return float(given)


def _free_journal(folder: Path, name: str) -> Journal:
    """Open the stage's journal, or one beside it while another attempt that still runs holds that."""
    for number in itertools.count():
        try:
            return Journal(folder / (f"{name}-{number}.jsonl" if number else f"{name}.jsonl"))
        except JournalInUseError:
            continue
    raise AssertionError


def _chunks(values: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    items = iter(values.items())
    while chunk := dict(itertools.islice(items, size)):
        yield chunk
