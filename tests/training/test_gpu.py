"""Training on GPUs: run where there are some (`pytest -m gpu`), skipped elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from stage_training import train_in_stage

from agent0.config import CurriculumSettings, LoraSettings, TrainingSettings
from agent0.stages import Stage
from agent0.stages.executor_training import HEADLINE
from agent0.storage.digest import folder_digest
from agent0.training.training_job import TrainingJob

MakeJob = Callable[..., TrainingJob]
GPUS = torch.cuda.device_count()
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]
one_gpu = pytest.mark.skipif(GPUS < 1, reason="needs a GPU")
two_gpus = pytest.mark.skipif(GPUS < 2, reason="needs two GPUs")
LARGEST_LOGPROB_DIFFERENCE = 0.2


def run(job: TrainingJob, training: TrainingSettings, **changes: Any) -> list[dict[str, float]]:
    """Train as the stage does, servers and processes included."""
    rollout, stage = job.rollout.model_copy(update=changes), Stage.untracked("executor_training")
    return train_in_stage(job, stage, rollout=rollout, training=training, headline=HEADLINE).log


def check(job: TrainingJob, log: list[dict[str, float]]) -> None:
    assert [row["step"] for row in log] == list(range(1, job.updates + 1))
    trained, base = (folder_digest(next(folder.glob("*.safetensors"))) for folder in (job.output, job.base))
    assert trained != base
    differences = [row["sampling/sampling_logp_difference/mean"] for row in log if "reward" in row]
    assert max(differences) < LARGEST_LOGPROB_DIFFERENCE  # stale weights would drift away


@one_gpu
@pytest.mark.parametrize("rank", [0, 8])
def test_a_colocated_engine_gets_the_weights(make_job: MakeJob, rank: int) -> None:
    job = make_job("colocated")
    check(job, run(job, TrainingSettings(policy_backend="vllm", lora=LoraSettings(rank=rank), precision="bfloat16")))


@two_gpus
def test_a_server_gets_the_weights(make_job: MakeJob) -> None:
    job = make_job("server")
    check(job, run(job, TrainingSettings(policy_backend="vllm_server", policy_gpus=1)))


@two_gpus
def test_the_frozen_executor_is_served_beside_the_training(make_job: MakeJob, curriculum: CurriculumSettings) -> None:
    job = make_job("curriculum", algorithm=curriculum, agent="curriculum")
    check(job, run(job, TrainingSettings(policy_backend="vllm", executor_gpus=1), backend="vllm_server"))


@one_gpu
@pytest.mark.parametrize("sleeps", [True, False])
def test_one_engine_serves_the_policy_and_the_frozen_executor_in_turn(
    make_job: MakeJob, curriculum: CurriculumSettings, sleeps: bool
) -> None:
    job = make_job("shared", algorithm=curriculum, agent="curriculum")
    training = TrainingSettings(policy_backend="vllm", colocated_sleep=sleeps, precision="bfloat16")
    log = run(job, training, backend="vllm")
    check(job, log)  # the canary has compared the two models' answers in every turn
    votes = [row for row in log if row.get("proposals/valid")]
    assert votes
    assert all(row["executor/self_consistency"] > 0 for row in votes)


@two_gpus
@pytest.mark.parametrize("sharding", ["fsdp2", "zero3"])
def test_sharded_weights_are_gathered_for_the_engine_and_the_output(make_job: MakeJob, sharding: Any) -> None:
    if sharding == "zero3":
        pytest.importorskip("deepspeed")
    job = make_job(sharding)
    settings = TrainingSettings(policy_backend="vllm", sharding=sharding, precision="bfloat16", processes=2)
    check(job, run(job, settings))
