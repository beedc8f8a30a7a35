"""The shipped FSDP2 and ZeRO-3 configurations, read by the pinned transformers and accelerate; GPUs run them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent0.config import TrainingSettings
from agent0.training.batch import BatchPlan
from agent0.training.grpo import grpo_arguments
from agent0.training.job import TrainingJob
from agent0.training.worker import _export

MakeJob = Callable[..., TrainingJob]


def arguments_of(job: TrainingJob) -> Any:
    return grpo_arguments(job, BatchPlan.of(job, 1))


def test_fsdp2_shards_whole_layers_and_saves_whole_weights(
    make_job: MakeJob, random_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import FullyShardedDataParallelPlugin

    monkeypatch.delenv("FSDP_CPU_RAM_EFFICIENT_LOADING", raising=False)
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "false")  # restored after transformers has set it
    arguments = arguments_of(make_job("fsdp2", training=TrainingSettings(sharding="fsdp2", precision="bfloat16")))
    assert arguments.fsdp_config["version"] == 2
    assert set(json.loads(Path("agent0/training/configs/fsdp2.json").read_text())) <= set(arguments.fsdp_config)
    assert arguments.accelerator_config.gradient_accumulation_kwargs == {"sync_each_batch": True}
    plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
    assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.cpu_ram_efficient_loading) == (2, True, True)
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    plugin.set_auto_wrap_policy(random_model)
    layer = random_model.model.layers[0]
    assert plugin.auto_wrap_policy(layer, recurse=False, nonwrapped_numel=0)
    assert not plugin.auto_wrap_policy(layer.mlp, recurse=False, nonwrapped_numel=0)


def test_zero3_fills_in_what_the_training_says(make_job: MakeJob) -> None:
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed (pip install 'agent0[zero3]')")
    arguments = arguments_of(make_job("zero3", training=TrainingSettings(sharding="zero3", precision="bfloat16")))
    plugin, config = arguments.deepspeed_plugin, arguments.hf_deepspeed_config.config
    assert (plugin.zero_stage, plugin.zero3_save_16bit_model) == (3, True)
    assert config["bf16"]["enabled"] is True
    assert config["gradient_accumulation_steps"] == arguments.gradient_accumulation_steps
    assert config["gradient_clipping"] == arguments.max_grad_norm
    assert "auto" not in json.dumps(config)


def test_zero3_is_written_from_its_weights_in_float32(
    make_job: MakeJob, random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from agent0.rollout.models import load_model, save_model
    from agent0.training import worker

    job = make_job("exact", training=TrainingSettings(sharding="zero3", precision="bfloat16", policy_backend="vllm"))
    rounded, exact = job.workspace / "checkpoint-6", random_model.state_dict()
    save_model(copy.deepcopy(random_model).to(torch.bfloat16), tokenizer, rounded)
    monkeypatch.setattr(worker, "_master_weights", lambda checkpoint: exact)
    _export(job, rounded)
    written, _ = load_model(job.output, "float32")
    assert all(torch.equal(written.state_dict()[name], tensor) for name, tensor in exact.items())
