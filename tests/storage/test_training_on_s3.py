"""A training whose disk is lost goes on from its checkpoints on a real S3 server."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent0.storage import transfer
from agent0.storage.digest import folder_digest
from agent0.storage.workspace import open_workspace
from agent0.training.checkpoints import complete_checkpoints, history_of, step_of
from agent0.training.gpu_placement import Placement
from agent0.training.launch import run_job, torchrun_command
from agent0.training.sharded_state import WEIGHTS
from agent0.training.training_job import PreemptedError, TrainingJob
from agent0.training.worker import train

pytestmark = pytest.mark.integration
_spec = importlib.util.spec_from_file_location(
    "training_fixtures", Path(__file__).parents[1] / "training" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
half_trained, make_job = _fixtures.half_trained, _fixtures.make_job


def on_s3(job: TrainingJob) -> TrainingJob:
    """The job with its checkpoints in the workspace that this attempt opens."""
    workspace = open_workspace("run/1/executor_training", job.output, {"seed": job.seed})
    return job.model_copy(update={"workspace": workspace.folder, "remote": workspace.remote})


def weights(job: TrainingJob) -> str:
    return folder_digest(next(job.output.glob("*.safetensors")))


def stop_at_once(_: Mapping[str, float], step: int) -> None:
    if step == 1:
        signal.raise_signal(signal.SIGTERM)


def test_a_lost_disk_costs_nothing(make_job: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_job("whole")
    train(whole, lambda *_: None)

    monkeypatch.setenv("AGENT0_WORKSPACE", f"s3://{bucket}/attempts")
    first = on_s3(make_job("broken"))
    with pytest.raises(PreemptedError, match=f"s3://{bucket}/attempts"):
        train(first, stop_at_once)
    shutil.rmtree(first.workspace)
    assert transfer.entries(f"s3://{bucket}/attempts/run/1/executor_training") == ["checkpoint-2", "settings.json"]

    second = on_s3(make_job("broken"))
    steps: list[int] = []
    train(second, lambda _, step: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 6]
    assert weights(second) == weights(whole)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("s3", ["swift"], indirect=True)
def test_two_processes_killed_at_work_go_on_from_what_both_had_copied(
    make_job: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill comes while the trainers work on, and perhaps over a later checkpoint that is being copied."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    algorithm = make_job("any").algorithm.model_copy(update={"steps": 8})
    whole, two = make_job("whole", algorithm=algorithm), Placement((), (), (), 2)
    run_job(whole, two, lambda *_: None)

    monkeypatch.setenv("AGENT0_WORKSPACE", f"s3://{bucket}/attempts")
    first = on_s3(make_job("broken", algorithm=algorithm))
    place = str(first.remote)
    with subprocess.Popen(torchrun_command(2, first.write())) as training:
        while not any(name.startswith("checkpoint-") for name in transfer.entries(place)):
            assert training.poll() is None
            time.sleep(0.05)
        training.kill()
    shutil.rmtree(first.workspace)

    second = on_s3(make_job("broken", algorithm=algorithm))
    newest = complete_checkpoints(second.workspace)[-1]
    assert step_of(newest) < second.updates
    assert len(list((newest / WEIGHTS).glob("shard-*.safetensors"))) == 2
    kept = [row["step_time"] for row in history_of(newest)]
    history = run_job(second, two, lambda *_: None)
    assert [row["step_time"] for row in history[: len(kept)]] == kept  # these were not trained again
    assert weights(second) == weights(whole)
