"""The records of a scheduled evaluation, run after run, in one folder: what its history is drawn from.

A file a run, named by when it ended; the folder may be shared by any number of schedules of the same purpose. Verdicts
on single questions stay with each run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from agent0.evaluation.results import EvaluationReport, ResultsError, read_report
from agent0.promotion.claims import Run
from agent0.storage import transfer
from agent0.storage.atomic_file import write_json


def past_runs(place: str) -> tuple[list[Run], list[str]]:
    """Return the runs that are kept at `place`, local or `s3://`, oldest first, and why files are left out.

    Raises:
        StorageError: the store refuses or does not answer.
    """
    runs, complaints = [], []
    for name in transfer.entries(place):
        if name.endswith(".json"):
            uri = f"{place.rstrip('/')}/{name}"
            try:
                runs.append(Run(uri, read_report(uri)))
            except ResultsError as error:
                complaints.append(f"The history leaves out a file: {error}")
    return sorted(runs, key=lambda run: run.report.finished_at), complaints


def keep_run(place: str, report: EvaluationReport, run_id: str) -> str:
    """Put the record of a run into its schedule's folder and return where; the same run has the same file again.

    Raises:
        StorageError: the place cannot be written.
    """
    ended = datetime.fromtimestamp(report.finished_at, UTC).strftime("%Y%m%dT%H%M%SZ")
    uri = f"{place.rstrip('/')}/{ended}-{run_id}.json"
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "record.json"
        write_json(path, report.model_dump(mode="json"))
        transfer.put(path, uri)
    return uri


def in_order(runs: Sequence[Run], past: Sequence[Run]) -> list[Run]:
    """Return `runs` and what is past, oldest first, each evaluation once."""
    known = [run.report for run in runs]
    return sorted([*runs, *(run for run in past if run.report not in known)], key=lambda run: run.report.finished_at)
