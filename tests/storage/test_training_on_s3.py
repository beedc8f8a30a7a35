"""A training whose disk is lost goes on from its checkpoints on a real S3 server."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent0.storage import transfer
from agent0.storage.digest import folder_digest
from agent0.storage.workspace import open_workspace
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
