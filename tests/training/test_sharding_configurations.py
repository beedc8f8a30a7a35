"""The shipped FSDP2 and ZeRO-3 configurations, read by the pinned transformers and accelerate; GPUs run them."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers.integrations.deepspeed import set_hf_deepspeed_config

from agent0.config import TrainingSettings
from agent0.training.batch_division import BatchPlan
from agent0.training.grpo import grpo_arguments
from agent0.training.sharded_state import WEIGHTS
from agent0.training.training_job import JOB_FILE, TrainingJob

MakeJob = Callable[..., TrainingJob]
A_TWENTIETH_OF_AN_UPDATE = 5e-5
"""AdamW moves a weight by about the rate, 1e-3, however small its gradient is, and so it magnifies rounding."""


class StillThere:
    """A trainer's configuration, by which transformers shares out each model that it loads."""

    def is_zero3(self) -> bool:
        return True


def arguments_of(job: TrainingJob) -> Any:
    return grpo_arguments(job, BatchPlan.of(job, 1))


def test_fsdp2_shards_whole_layers_and_saves_shares(
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
    assert plugin.state_dict_type.name == "SHARDED_STATE_DICT"
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
    from agent0.training import export as exporting

    job = make_job("exact", training=TrainingSettings(sharding="zero3", precision="bfloat16", policy_backend="vllm"))
    rounded, exact = job.workspace / "checkpoint-6", random_model.state_dict()
    save_model(copy.deepcopy(random_model).to(torch.bfloat16), tokenizer, rounded)
    monkeypatch.setattr(exporting, "_master_weights", lambda checkpoint: exact)
    trainers = StillThere()
    set_hf_deepspeed_config(trainers)
    exporting.export(job, rounded)
    written, _ = load_model(job.output, "float32")
    assert all(torch.equal(written.state_dict()[name], tensor) for name, tensor in exact.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fsdp2_trains_and_resumes_with_the_numbers_of_ddp(make_job: MakeJob) -> None:
    """Its reference model, too, must hold the base's weights on every process: the KL term of the first update is 0.

    It makes several passes where DDP makes one, and one process makes as many as the other needs.
    """
    ddp, sharded = small_job(make_job, "ddp"), small_job(make_job, "fsdp2", budget=40)
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
    assert difference(sharded, ddp) <= 1e-5
    whole = weights_of(sharded)
    newest = sharded.workspace / "checkpoint-4"
    assert len(list((newest / WEIGHTS).glob("shard-*.safetensors"))) == 2
    shutil.rmtree(newest)
    launch(sharded)
    assert all(torch.allclose(tensor, whole[name], atol=1e-6) for name, tensor in weights_of(sharded).items())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_several_passes_over_shares_of_the_weights_learn_what_one_process_learns_at_once(make_job: MakeJob) -> None:
    """A checkpoint of two processes that share the weights out is gone on with by one that holds them whole."""
    alone = small_job(make_job, "ddp", updates_per_step=1, steps=4)
    sharded = small_job(make_job, "fsdp2", budget=40, updates_per_step=1, steps=4)
    _, *expected = launch(alone, processes=1)
    _, *history = launch(sharded)
    assert [row["passes/count"] for row in expected[:4]] == [1] * 4
    assert all(row["passes/count"] > 1 for row in history[:4])
    for row, same in zip(history[:4], expected[:4], strict=True):
        for name in ("loss", "grad_norm", "kl", "entropy", "reward"):
            assert row[name] == pytest.approx(same[name], rel=1e-3, abs=1e-6), name
    assert difference(sharded, alone) <= A_TWENTIETH_OF_AN_UPDATE
    shutil.rmtree(alone.workspace)
    shutil.copytree(sharded.workspace / "checkpoint-2", alone.workspace / "checkpoint-2")
    launch(alone, processes=1)
    assert difference(sharded, alone) <= A_TWENTIETH_OF_AN_UPDATE


def small_job(make_job: MakeJob, sharding: Any, *, budget: int = 0, **settings: Any) -> TrainingJob:
    training = TrainingSettings(sharding=sharding, gradient_checkpointing=True, micro_batch_tokens=budget)
    job = make_job(sharding, training=training)
    chosen = {"steps": 2, "tasks_per_step": 4, "kl_coefficient": 0.01, **settings}
    job = job.model_copy(update={"algorithm": job.algorithm.model_copy(update=chosen)})
    job.write()
    return job


def weights_of(job: TrainingJob) -> dict[str, torch.Tensor]:
    return load_file(job.output / "model.safetensors")


def difference(one: TrainingJob, other: TrainingJob) -> float:
    """The largest difference between two weights of the same name; they have moved by much more."""
    weights, same, base = weights_of(one), weights_of(other), load_file(one.base / "model.safetensors")
    moved = max(float((weights[name] - base[name]).abs().max()) for name in base)
    assert moved > 1e-3
    return max(float((weights[name] - same[name]).abs().max()) for name in base)


def launch(job: TrainingJob, processes: int = 2) -> list[dict[str, Any]]:
    script = Path(__file__).parent / "sharded_on_cpu.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    run = subprocess.run(
        [*torchrun, str(script), str(job.folder / JOB_FILE)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-9000:]
    history: list[dict[str, Any]] = json.loads((job.folder / "history.json").read_text())
    return history
