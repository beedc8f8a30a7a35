"""Delivering what a stage left behind because MLflow did not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.tracking import MlflowClient

from agent0.errors import UsageError
from agent0.storage.uri_files import read_file
from agent0.tracking.delivery import Delivery, explaining, find_run, run_key
from agent0.tracking.job_runs import close_left
from agent0.tracking.journal import Entry, Journal
from agent0.tracking.mlflow_runs import check_run, make_client
from agent0.tracking.tracker import undelivered_tag


def flush(place: str, uri: str = "") -> int:
    """Deliver every entry of a buffer that MLflow has not taken; return how many those were.

    Args:
        place: file, on this machine or `s3://…`.
        uri: tracking store; the one that the stage tracked to if not given.

    Raises:
        UsageError: there is no such file, it is no buffer, or a running stage holds it.
        UnreachableError, RefusedError: MLflow does not answer, or refuses; what was not sent stays.
    """
    with _local(place) as path:
        journal = Journal(path)
        try:
            waiting = journal.pending
            if journal.closing is not None:
                close_left(journal.closing, uri or journal.closing["uri"])
                journal.mark_delivered(journal.written)
                return waiting
            if journal.opening is None:
                raise UsageError(f"{place} holds nothing: the stage that opened it was killed at once.")
            client = make_client(uri or journal.opening["uri"])
            check_run(client, journal.opening["evolution_id"])
            Delivery(client, journal.opening).send(journal)
            with explaining(client.tracking_uri):
                _untag(client, journal.opening)
            return waiting
        finally:
            journal.close()


@contextmanager
def _local(place: str) -> Iterator[Path]:
    """Yield a path of the buffer on this machine; a file of a store is copied, since sending it twice does no harm."""
    with read_file(place) as path:
        if not path.is_file():
            raise UsageError(f"There is no tracking buffer at {place}; give the file that the stage's warning named.")
        yield path


def _untag(client: MlflowClient, opening: Entry) -> None:
    evolution = client.get_run(opening["evolution_id"])
    key = run_key(opening["evolution_id"], opening["iteration"])
    tag = undelivered_tag(opening["iteration"], opening["stage"])
    for run in (evolution, find_run(client, evolution.info.experiment_id, key)):
        if run is not None and tag in run.data.tags:
            client.delete_tag(run.info.run_id, tag)
