"""The shipped FSDP2 and ZeRO-3 configurations, read by the pinned transformers and accelerate; GPUs run them."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from agent0.config import TrainingSettings
from agent0.training.batch_division import BatchPlan
from agent0.training.grpo import grpo_arguments
from agent0.training.training_job import JOB_FILE, TrainingJob
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
    assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.cpu_ram_efficient_loading) == (2, True, False)
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
    from agent0.rollout.model_folders import load_model, save_model
    from agent0.training import worker

    job = make_job("exact", training=TrainingSettings(sharding="zero3", precision="bfloat16", policy_backend="vllm"))
    rounded, exact = job.workspace / "checkpoint-6", random_model.state_dict()
    save_model(copy.deepcopy(random_model).to(torch.bfloat16), tokenizer, rounded)
    monkeypatch.setattr(worker, "_master_weights", lambda checkpoint: exact)
    _export(job, rounded)
    written, _ = load_model(job.output, "float32")
    assert all(torch.equal(written.state_dict()[name], tensor) for name, tensor in exact.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fsdp2_trains_and_resumes_with_the_numbers_of_ddp(make_job: MakeJob) -> None:
    """Its reference model, too, must hold the base's weights on every process: the KL term of the first update is 0.

    It makes several passes where DDP makes one, and one process makes as many as the other needs.
    """
    ddp, sharded = small_job(make_job, "ddp", 0), small_job(make_job, "fsdp2", 40)
    _, *expected = launch(ddp)
    names, *history = launch(sharded)
    assert names["layer"].startswith("FSDP")
    compared = ("loss", "grad_norm", "kl", "entropy", "reward")
    for row, same in zip(history[:4], expected[:4], strict=True):
        assert {k: row[k] for k in compared if k in row} == pytest.approx(
            {k: same[k] for k in compared if k in same}, rel=1e-3, abs=1e-6
        )
    assert expected[0]["passes/count"] == 1 < history[0]["passes/count"]
    assert history[0]["kl"] == pytest.approx(0, abs=1e-6)
    written = sharded.workspace / "checkpoint-4" / "model.safetensors"
    whole, copied = load_file(written), load_file(ddp.workspace / "checkpoint-4" / "model.safetensors")
    assert all(torch.allclose(whole[name], copied[name], atol=1e-5) for name in copied)
    written.unlink()
    launch(sharded, str(sharded.workspace / "checkpoint-2"))
    resumed = load_file(written)
    assert all(torch.allclose(resumed[name], whole[name], atol=1e-6) for name in whole)


def small_job(make_job: MakeJob, sharding: Any, budget: int) -> TrainingJob:
    training = TrainingSettings(sharding=sharding, gradient_checkpointing=True, micro_batch_tokens=budget)
    job = make_job(sharding, training=training)
    settings = {"steps": 2, "tasks_per_step": 4, "kl_coefficient": 0.01}
    job = job.model_copy(update={"algorithm": job.algorithm.model_copy(update=settings)})
    job.write()
    return job


def launch(job: TrainingJob, *further: str) -> list[dict[str, Any]]:
    script = Path(__file__).parent / "sharded_on_cpu.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = subprocess.run(
        [*torchrun, str(script), str(job.folder / JOB_FILE), *further], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    history: list[dict[str, Any]] = json.loads((job.folder / "history.json").read_text())
    return history
