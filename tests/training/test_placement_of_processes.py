"""Who sees which GPU, and who gets which port; no GPU is needed to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stage_training import train_in_stage

from agent0.config import CurriculumSettings, RolloutSettings, TrainingSettings, VllmSettings
from agent0.errors import UsageError
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.vllm_process import Endpoints
from agent0.stages import training_stage as training_stage
from agent0.training import launch, worker
from agent0.training.engine_turns import EngineTurns, FrozenTurnBackend
from agent0.training.gpu_placement import Placement
from agent0.training.training_job import TrainingJob

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
    with worker._executor_backend(job, curriculum, job.base, load_tokenizer(job.base), EngineTurns()):
        assert asked == [[3]]


@pytest.mark.parametrize(
    ("rollout", "training", "shared"),
    [
        ("vllm", {"policy_backend": "vllm"}, True),
        ("vllm", {"policy_backend": "vllm", "executor_gpus": 1}, False),
        ("vllm", {"policy_backend": "vllm", "launcher": "trainjob"}, False),  # the pod that waits has GPUs to serve on
        ("vllm", {"policy_backend": "vllm_server"}, False),
        ("vllm", {}, False),
        ("vllm_server", {"policy_backend": "vllm"}, True),
        ("transformers", {"policy_backend": "vllm"}, False),
    ],
)
def test_the_frozen_executor_takes_turns_where_vllm_runs_in_the_process_and_nothing_is_set_aside(
    make_job: MakeJob, curriculum: CurriculumSettings, rollout: str, training: dict[str, Any], shared: bool
) -> None:
    job = make_job("turns", algorithm=curriculum, agent="curriculum")
    settings = job.rollout.model_copy(update={"backend": rollout})
    job = job.model_copy(update={"rollout": settings, "training": TrainingSettings(**training)})
    assert not job.shares_engine  # an executor's training has no frozen model
    job = job.model_copy(update={"frozen_executor": job.base})
    assert job.shares_engine == shared
    if shared:
        tokenizer = load_tokenizer(job.base)
        with worker._executor_backend(job, curriculum, job.base, tokenizer, EngineTurns()) as backend:
            assert isinstance(backend, FrozenTurnBackend)


def test_one_gpu_trains_alone_where_the_engine_is_shared(
    make_job: MakeJob, curriculum: CurriculumSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(training_stage, "visible_gpus", lambda: 1)
    monkeypatch.setattr(training_stage, "check_job", lambda *_: None)
    monkeypatch.setattr(training_stage, "run_job", lambda job, placement, *_: seen.append((job, placement)) or [])
    job = make_job("alone")

    def run(training: TrainingSettings) -> None:
        rollout = job.rollout.model_copy(update={"backend": "vllm"})
        train_in_stage(job, rollout=rollout, algorithm=curriculum, training=training)

    with pytest.raises(UsageError, match=r"executor_gpus is 0.* or set training.policy_backend to 'vllm'"):
        run(TrainingSettings())
    run(TrainingSettings(policy_backend="vllm"))
    ((started, placement),) = seen
    assert placement == Placement((0,), (), (), 1)
    assert (started.executor_endpoints, started.shares_engine) == ((), True)


def test_the_policys_server_takes_the_port_after_the_executors(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []

    @contextmanager
    def serve(_: Path, rollout: RolloutSettings, **__: Any) -> Iterator[Endpoints]:
        ports.append(rollout.vllm.port)
        yield Endpoints(["http://127.0.0.1:1"])

    monkeypatch.setattr("agent0.rollout.vllm_process.serve", serve)
    placement = Placement((0,), (1,), (2, 3), 1)
    served = TrainingSettings(policy_backend="vllm_server", policy_gpus=1)
    for first in (8000, 0):
        rollout = RolloutSettings(vllm=VllmSettings(port=first))
        job = make_job("port", rollout=rollout, training=served)
        with training_stage._policy_server(job, placement, 2, seed=0) as address:
            assert training_stage._port(address) > 0
    assert ports == [8002, 0]
    assert training_stage._port("") == 0
