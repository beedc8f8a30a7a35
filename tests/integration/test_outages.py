"""MLflow's server goes away, hangs, refuses and comes back, and a stage does not notice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent0.errors import Agent0Error

pytestmark = [pytest.mark.integration, pytest.mark.slow]
pytest.importorskip("mlflow", reason="the extra tracking is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from servers.small_tracking import SmallTrackingServer

    server = SmallTrackingServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def evolution(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from agent0.tracking.mlflow_runs import start_run

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("AGENT0_TRACKING_BUFFER", str(tmp_path / "buffers"))
    monkeypatch.setenv("AGENT0_TRACKING_PATIENCE", "3")
    monkeypatch.setenv("AGENT0_PROGRESS", str(tmp_path / "progress.jsonl"))
    monkeypatch.setattr("agent0.tracking.sender.GATHER_SECONDS", 0.2)
    yield start_run(server.uri, "agent0", "evolution tiny seed 0", {}, {}, range(2))
    server.start()


def stage_run(uri: str, evolution: str) -> Any:
    """The one stage's run of an evolution."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_run(evolution).info.experiment_id
    rounds = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{evolution}'")
    parents = [run.info.run_id for run in rounds]
    (run,) = [run for p in parents for run in client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{p}'")]
    return run


def points(uri: str, run: Any) -> list[tuple[int, float]]:
    from mlflow.tracking import MlflowClient

    return [(p.step, p.value) for p in MlflowClient(uri).get_metric_history(run.info.run_id, "executor/reward")]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_server_that_dies_and_comes_back_has_everything_once_and_in_order(
    server: Any, evolution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent0.stages import StageResult, open_stage

    monkeypatch.setenv("AGENT0_TRACKING_PATIENCE", "60")
    (tmp_path / "out").mkdir()
    (tmp_path / "note.txt").write_text("kept")
    with open_stage("executor_training", iteration=1, seed=0, mlflow_run_id=evolution) as stage:
        assert stage.session is not None
        for step in range(1, 91):
            if step == 30:
                wait_until(lambda: stage.session.journal.delivered > 1)
                server.kill()
            if step == 60:
                stage.tracker.log_file(tmp_path / "note.txt")
                wait_until(lambda: stage.session.sender.trouble != "")
                server.start()
            before = time.perf_counter()
            stage.tracker.log_metrics({"executor/reward": step / 100}, step)
            assert time.perf_counter() - before < 0.1
            time.sleep(0.01)
        report = stage.finish(StageResult({"tasks/kept": 1.0}), tmp_path / "out")
    assert report.undelivered == ""
    run = stage_run(server.uri, evolution)
    assert run.info.status == "FINISHED"
    assert points(server.uri, run) == [(step, step / 100) for step in range(1, 91)]
    events = (tmp_path / "progress.jsonl").read_text()
    assert "cannot be reached" in events
    assert "MLflow answers again" in events


def test_a_stage_starts_and_ends_without_a_server_and_is_delivered_by_the_command(
    server: Any, evolution: str, tmp_path: Path
) -> None:
    from mlflow.tracking import MlflowClient

    from agent0.stages import StageResult, open_stage
    from agent0.stages.session import read_report

    server.kill()
    (tmp_path / "out").mkdir()
    with open_stage("task_filtering", iteration=1, seed=0, mlflow_run_id=evolution) as stage:
        for step in (1, 2, 3):
            stage.tracker.log_metrics({"executor/reward": step / 100}, step)
        stage.finish(StageResult({"tasks/kept": 1.0}), tmp_path / "out")
    left = read_report(tmp_path / "out").undelivered
    assert Path(left).is_file()
    assert f"agent0 tracking flush {left}" in (tmp_path / "progress.jsonl").read_text()
    assert flush(left).returncode == 1
    server.start()
    done = flush(left)
    assert done.returncode == 0, done.stderr
    assert "7 entries delivered" in done.stdout
    assert "0 entries delivered" in flush(left).stdout
    run = stage_run(server.uri, evolution)
    assert run.info.status == "FINISHED"
    assert points(server.uri, run) == [(1, 0.01), (2, 0.02), (3, 0.03)]
    assert MlflowClient(server.uri).get_run(evolution).info.status == "RUNNING"


def test_without_a_folder_for_buffers_the_rest_lies_in_the_stages_output(
    server: Any, evolution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent0.stages import StageResult, open_stage
    from agent0.storage.digest import folder_digest, of_a_stage

    monkeypatch.delenv("AGENT0_TRACKING_BUFFER")
    monkeypatch.delenv("AGENT0_WORKSPACE", raising=False)
    server.kill()
    (tmp_path / "out").mkdir()
    with open_stage("task_filtering", iteration=1, seed=0, mlflow_run_id=evolution) as stage:
        digest = folder_digest(tmp_path / "out", of_a_stage)
        stage.finish(StageResult({"tasks/kept": 1.0}), tmp_path / "out")
    assert folder_digest(tmp_path / "out", of_a_stage) == digest
    server.start()
    assert flush(str(tmp_path / "out" / "undelivered-tracking.jsonl")).returncode == 0
    assert stage_run(server.uri, evolution).data.metrics["tasks/kept"] == 1


def test_a_killed_stage_is_gone_on_with_from_its_buffer(server: Any, evolution: str, tmp_path: Path) -> None:
    from agent0.stages import open_stage

    code = (
        "import os, signal, sys\n"
        "from agent0.stages import open_stage\n"
        "with open_stage('executor_training', iteration=1, seed=0, mlflow_run_id=sys.argv[1]) as stage:\n"
        "    for step in range(1, 21): stage.tracker.log_metrics({'executor/reward': step / 100}, step)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, evolution], check=False).returncode == -9
    with open_stage("executor_training", iteration=1, seed=0, mlflow_run_id=evolution) as stage:
        for step in range(11, 31):  # from its checkpoint on
            stage.tracker.log_metrics({"executor/reward": step / 100}, step)
    run = stage_run(server.uri, evolution)
    assert run.info.status == "FINISHED"
    assert points(server.uri, run) == [(step, step / 100) for step in range(1, 31)]


def test_a_server_that_never_answers_costs_the_stage_its_patience(
    server: Any, evolution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent0.stages import StageResult, open_stage

    monkeypatch.setattr("agent0.tracking.mlflow_runs.HEALTH_TIMEOUT_SECONDS", 1.0)
    (tmp_path / "out").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with open_stage("task_filtering", iteration=1, seed=0, mlflow_run_id=evolution) as stage:
            assert time.monotonic() - began < 10
            report = stage.finish(StageResult({"tasks/kept": 1.0}), tmp_path / "out")
        assert time.monotonic() - began < 20
    assert Path(report.undelivered).is_file()


def flush(path: str) -> subprocess.CompletedProcess[str]:
    code = "from agent0.cli.main import main; main()"
    command = [sys.executable, "-c", code, "tracking", "flush", path]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)


def test_wrong_credentials_end_a_stage_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask_wtf", reason="Flask-WTF, which MLflow's authentication needs, is not installed")
    from servers.small_tracking import PASSWORD, USERNAME, SmallTrackingServer

    from agent0.stages import open_stage
    from agent0.tracking.mlflow_runs import start_run

    server = SmallTrackingServer(tmp_path, authentication=True)
    server.start()
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USERNAME)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        evolution = start_run(server.uri, "agent0", "evolution tiny seed 0", {}, {}, range(2))
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-password")
        began = time.monotonic()
        with (
            pytest.raises(Agent0Error, match=r"refuses these credentials .*MLFLOW_TRACKING_USERNAME"),
            open_stage("task_filtering", iteration=1, seed=0, mlflow_run_id=evolution),
        ):
            pytest.fail("the stage began")
        assert time.monotonic() - began < 20
    finally:
        server.kill()
