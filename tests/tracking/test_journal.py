from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent0.cli.tracking import app
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


OPEN = (
    b'{"n": 1, "run": "stage", "kind": "open", "time": 1, "uri": "sqlite:///x", "evolution_id": "e", "injected": "", '
    b'"key": "k", "stage": "s", "iteration": 1, "name": "n", "tags": {}}\n'
)


@pytest.mark.parametrize(
    "content",
    [
        b"buy milk\nand bread\n",
        b"a line without an end",
        b'{"a": 1}',
        b'{"n": 1}',
        b'{"n": 2, "run": "stage", "kind": "tags", "values": {}}\n',
        b'{"n": -1, "run": "stage", "kind": "tags", "values": {}}\n',
        b'{"n": "1", "run": "stage", "kind": "tags", "values": {}}\n',
        b'{"n": 1, "run": "stage", "kind": "tags"}\n',
        b'{"n": 1, "run": "stage", "kind": "metrics", "values": {}, "step": "x", "time": 1}\n',
        b'{"n": 1, "run": "stage", "kind": "open"}\n',
        b'{"n": ' + b"9" * 5000 + b"}\n",
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b"null\n",
        OPEN + b'{"delivered": 7}\n',
        OPEN + b'{"delivered": "x"}\n',
        OPEN + b"buy milk",
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"no tracking buffer .*left as it is"):
        Journal(path)
    assert path.read_bytes() == content


def test_of_a_folder_only_its_buffers_and_those_of_its_runs_are_sent(tmp_path: Path) -> None:
    notes = [tmp_path / "notes.jsonl", tmp_path / "run" / "samples.jsonl", tmp_path / "run" / "deep" / "stage.jsonl"]
    for path, content in zip(notes, (b"mine", b'{"item": 1}\n', OPEN), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    done = CliRunner().invoke(app, ["flush", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert "holds no tracking buffers" in str(done.exception)
    assert [path.read_bytes() for path in notes] == [b"mine", b'{"item": 1}\n', OPEN]


def test_points_of_an_earlier_attempt_are_known(path: Path) -> None:
    journal = Journal(path)
    journal.append(point(1.0, step=7))
    assert journal.earlier_points == set()
    journal.close()
    assert Journal(path).earlier_points == {("stage", "a/b", 7)}
