"""Nodes that nobody waits for save and end; whose clock says what does not matter."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from agent0.training import heartbeat, node_main
from agent0.training.heartbeat import CLOCK_FILE, HEARTBEAT_FILE, beat, left_alone
from agent0.training.training_job import ERROR_FILE, PREEMPTED_STATUS, STOP_FILE, TrainingJob


def silent_for(folder: Path, seconds: float) -> None:
    """Let the last heartbeat in a folder be so long ago."""
    beat(folder)
    then = time.time() - seconds
    os.utime(folder / HEARTBEAT_FILE, (then, then))


def test_a_job_is_left_alone_once_its_heartbeat_is_too_old(tmp_path: Path) -> None:
    assert not left_alone(tmp_path)  # started by hand: nobody ever waited
    silent_for(tmp_path, heartbeat.PATIENCE_SECONDS - 60)
    assert not left_alone(tmp_path)
    silent_for(tmp_path, heartbeat.PATIENCE_SECONDS + 60)
    assert left_alone(tmp_path)
    beat(tmp_path)
    assert not left_alone(tmp_path)


def test_the_age_is_told_by_the_file_servers_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beat(tmp_path)
    (tmp_path / CLOCK_FILE).touch()
    os.utime(tmp_path / CLOCK_FILE, (0, 0))  # from an earlier look
    monkeypatch.setattr(time, "time", lambda: 4e9)  # a node whose own clock is decades ahead
    assert not left_alone(tmp_path)


def test_a_node_stops_its_training_when_the_heartbeat_ends(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    file = job.write()
    beat(job.folder)
    training = (
        "import os, sys, time; os.utime(sys.argv[1], (0, 0)); time.sleep(0.5); "
        "asked = [time.sleep(0.1) for _ in range(200) if not os.path.exists(sys.argv[2])]; sys.exit(len(asked) == 200)"
    )
    paths = [str(job.folder / HEARTBEAT_FILE), str(job.folder / STOP_FILE)]
    monkeypatch.setattr(heartbeat, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(node_main, "torchrun_command", lambda *_: [sys.executable, "-c", training, *paths])
    monkeypatch.setattr(node_main, "check_job", lambda *_: None)
    monkeypatch.setenv("PET_NNODES", "2")
    assert node_main.main(file) == 0


def test_a_node_started_again_after_that_does_not_train(job: TrainingJob) -> None:
    file = job.write()
    silent_for(job.folder, heartbeat.PATIENCE_SECONDS + 60)
    assert node_main.main(file) == PREEMPTED_STATUS
    assert "Nobody waits for this training" in (job.folder / ERROR_FILE).read_text()
