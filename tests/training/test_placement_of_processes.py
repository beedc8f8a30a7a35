"""Who sees which GPU, and who gets which port; no GPU is needed to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent0.config import CurriculumSettings, RolloutSettings, VllmSettings
from agent0.rollout.vllm_process import Endpoints
from agent0.stages import training as training_stage
from agent0.training import launch, worker
from agent0.training.job import TrainingJob
from agent0.training.processes import Placement

MakeJob = Callable[..., TrainingJob]


def test_a_single_process_on_a_gpu_is_torchruns_and_one_on_a_cpu_is_this_one(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("single")
    monkeypatch.setattr(launch, "_torchrun", lambda *_: [{"step": 1.0}])
    monkeypatch.setattr(worker, "train", lambda *_: [{"step": 2.0}])
    assert launch.run_job(job, Placement((0,), (1,), (), 1), lambda *_: None) == [{"step": 1.0}]
    assert launch.run_job(job, Placement((), (), (), 1), lambda *_: None) == [{"step": 2.0}]


def test_each_process_loads_the_frozen_executor_onto_its_own_gpu(
    make_job: MakeJob, curriculum: CurriculumSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    @contextmanager
    def opened(*_: Any, gpus: Any, **__: Any) -> Iterator[None]:
        asked.append(gpus)
        yield None

    monkeypatch.setattr(worker, "open_backend", opened)
    monkeypatch.setenv("LOCAL_RANK", "3")
    job = make_job("rank")
    with worker._executor_backend(job, curriculum, job.base):
        assert asked == [[3]]


def test_the_policys_server_takes_the_port_after_the_executors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []

    @contextmanager
    def serve(_: Path, rollout: RolloutSettings, **__: Any) -> Iterator[Endpoints]:
        ports.append(rollout.vllm.port)
        yield Endpoints(["http://127.0.0.1:1"])

    monkeypatch.setattr("agent0.rollout.vllm_process.serve", serve)
    placement = Placement((0,), (1,), (2, 3), 1)
    for first in (8000, 0):
        rollout = RolloutSettings(vllm=VllmSettings(port=first))
        with training_stage._policy_server(tmp_path, rollout, placement, tmp_path, before=2) as address:
            assert training_stage._port(address) > 0
    assert ports == [8002, 0]
    assert training_stage._port("") == 0
