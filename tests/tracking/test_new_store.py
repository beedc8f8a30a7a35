from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

from agent0.tracking.mlflow_runs import open_client


def _open(store: str, temporary: Path, begin: Any, opened: Any) -> None:
    tempfile.tempdir = str(temporary)  # each task of a pipeline has its own
    begin.wait()
    open_client(store, new=True)
    opened.set()


def test_two_processes_that_make_a_store_at_once_both_have_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    begin, opened = context.Barrier(2), [context.Event(), context.Event()]
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    processes = []
    for number, event in enumerate(opened):
        temporary = tmp_path / str(number)
        temporary.mkdir()
        processes.append(context.Process(target=_open, args=(store, temporary, begin, event)))
        processes[-1].start()
    for process in processes:
        process.join(120)
    assert all(event.is_set() for event in opened)
