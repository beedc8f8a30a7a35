"""The share of its GPU that a trainer gives to the engine beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent0.config import load_config
from agent0.errors import UsageError
from agent0.planning import parse_cluster
from agent0.planning.architecture import KNOWN, Architecture
from agent0.planning.stage_demands import engine_beside
from agent0.training.batch_division import BatchPlan
from agent0.training.engine_memory import engine_share, planned_architecture, planned_share
from agent0.training.training_job import TrainingJob

MakeJob = Callable[..., TrainingJob]
SHAPE = KNOWN["Qwen3-8B"]


def job_of(make_job: MakeJob, folder: Path, *settings: str, kind: str = "qwen3") -> TrainingJob:
    """Return the job of the recipe's executor training; its model has the real shape, and no weights."""
    config = load_config("qwen3-8b", settings)
    job = make_job("share")
    base = shutil.copytree(job.base, folder / "base", ignore=shutil.ignore_patterns("*.safetensors"))
    (base / "config.json").write_text(json.dumps({"model_type": kind, **sizes(SHAPE)}))
    return job.model_copy(
        update={
            "base": base, "model": config.model, "rollout": config.rollout, "algorithm": config.executor,
            "training": config.training,
        }
    )  # fmt: skip


def sizes(shape: Architecture) -> dict[str, int | bool]:
    return {
        "num_hidden_layers": shape.layers, "hidden_size": shape.hidden, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_dim, "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocabulary, "tie_word_embeddings": shape.tied,
    }  # fmt: skip


@pytest.mark.parametrize("gpus", ["8xH100", "8xH200", "8xA100-80"])
def test_it_is_that_of_the_plan(make_job: MakeJob, tmp_path: Path, gpus: str) -> None:
    job, cluster = job_of(make_job, tmp_path), parse_cluster(gpus)
    planned = engine_beside("executor_training", SHAPE, load_config("qwen3-8b"), cluster)
    share = planned_share(job, BatchPlan.of(job, 8), cluster.gpu.memory_gib)
    assert share == pytest.approx(planned.budget / cluster.gpu.memory_gib)
    assert 0.3 < share < 0.9


def test_a_share_that_is_given_needs_no_gpu_to_be_read(make_job: MakeJob, tmp_path: Path) -> None:
    job = job_of(make_job, tmp_path, "training.colocated_memory=0.25")
    assert engine_share(job, BatchPlan.of(job, 8)) == 0.25


def test_a_trainer_that_leaves_too_little_is_refused_with_what_to_set(make_job: MakeJob, tmp_path: Path) -> None:
    job = job_of(make_job, tmp_path)
    with pytest.raises(
        UsageError, match=r"leaves vLLM 0.0 of the GPU's 79.1 GiB, .* take .*training.lora.rank, more GPUs"
    ):
        planned_share(job, BatchPlan.of(job, 1), 79.1)


def test_a_model_that_the_plan_does_not_know_needs_a_share_that_is_given(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"type 'mamba2'.* set it by training.colocated_memory"):
        planned_architecture(job_of(make_job, tmp_path, kind="mamba2"))
