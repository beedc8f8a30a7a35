from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent0.errors import Agent0Error, UsageError
from agent0.tracking.journal import Journal, JournalInUseError


def point(value: float, step: int = 1) -> dict[str, object]:
    return {"run": "stage", "kind": "metrics", "time": 1, "step": step, "values": {"a/b": value}}


def write_points(journal: Journal, count: int) -> None:
    for value in range(count):
        journal.append(point(float(value)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "buffers" / "stage.jsonl"


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may grow beyond 4 KiB; that of pytest's own output neither, so only while nothing is printed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_entries_come_back_in_order_and_those_delivered_do_not(path: Path) -> None:
    journal = Journal(path)
    for value in (1.0, float("nan"), 3.0):
        journal.append(point(value))
    journal.mark_delivered(1)
    assert [entry["n"] for entry in journal.undelivered()] == [2, 3]
    assert journal.pending == 2
    journal.close()
    again = Journal(path)
    again.append(point(4.0))
    assert [entry["n"] for entry in again.undelivered()] == [2, 3, 4]
    again.mark_delivered(4)
    assert again.pending == 0
    assert list(again.undelivered()) == []
    again.append(point(5.0))
    assert [entry["n"] for entry in again.undelivered()] == [5]


def test_a_line_that_a_killed_process_tore_is_cut_off(path: Path) -> None:
    journal = Journal(path)
    journal.append(point(1.0))
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"n": 2, "run": "sta')
    again = Journal(path)
    again.append(point(2.0))
    assert [(entry["n"], entry["values"]["a/b"]) for entry in again.undelivered()] == [(1, 1.0), (2, 2.0)]


def test_what_is_appended_outlives_a_kill(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from agent0.tracking.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for n in range(50): journal.append({'run': 'stage', 'kind': 'tags', 'values': {'n': str(n)}})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert [entry["values"]["n"] for entry in Journal(path).undelivered()] == [str(n) for n in range(50)]


def test_two_processes_cannot_hold_a_journal(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(JournalInUseError, match="in use by a stage that runs"):
        Journal(path)
    journal.close()
    Journal(path)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(path: Path) -> None:
    journal = Journal(path)
    with (
        pytest.raises(Agent0Error, match=r"stage\.jsonl cannot be written .*free disk space there"),
        small_disk(),
    ):
        write_points(journal, 1000)
    journal.close()
    kept = [entry["values"]["a/b"] for entry in Journal(path).undelivered()]
    assert len(kept) > 10
    assert kept == list(range(len(kept)))


def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\nand bread\n")
    with pytest.raises(UsageError, match="no tracking buffer"):
        Journal(path)
    assert path.read_text() == "buy milk\nand bread\n"


def test_points_of_an_earlier_attempt_are_known(path: Path) -> None:
    journal = Journal(path)
    journal.append(point(1.0, step=7))
    assert journal.earlier_points == set()
    journal.close()
    assert Journal(path).earlier_points == {("stage", "a/b", 7)}
