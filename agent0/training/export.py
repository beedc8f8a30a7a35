"""The model that a finished training hands on, from its last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from agent0.rollout.model_folders import load_model, load_tokenizer, save_model
from agent0.training.grpo import lora_configuration
from agent0.training.sharded_state import read_weights
from agent0.training.training_job import TrainingJob


def export(job: TrainingJob, checkpoint: Path) -> None:
    """Write the weights of a checkpoint, adapters merged, as the model that other stages load.

    Where the job names a place for its master, they are written there as they are, and rounded for the other stages.
    """
    model, tokenizer = (_from_deepspeed if job.training.sharding == "zero3" else _from_shares)(job, checkpoint)
    if job.master is not None:
        save_model(model, tokenizer, job.master)
        model.to(torch.bfloat16)
    save_model(model, tokenizer, job.output)


def _from_shares(job: TrainingJob, checkpoint: Path) -> tuple[Any, Any]:
    model, tokenizer = load_model(job.base, job.model.dtype)
    adapters = lora_configuration(job)
    if adapters is None:
        read_weights(model, checkpoint, alone=True)
        return model, tokenizer
    adapted = get_peft_model(model, adapters)
    read_weights(adapted, checkpoint, alone=True)
    return adapted.merge_and_unload(), tokenizer


def _from_deepspeed(job: TrainingJob, checkpoint: Path) -> tuple[Any, Any]:
    # As long as the trainer's arguments live, transformers shares each model that it loads out to the other processes,
    # which have ended.
    unset_hf_deepspeed_config()
    if job.training.lora.rank:
        base, tokenizer = load_model(job.base, job.model.dtype)
        return PeftModel.from_pretrained(base, checkpoint).merge_and_unload(), tokenizer
    model, _ = load_model(checkpoint, job.model.dtype)
    if job.model.dtype == "float32":
        model.load_state_dict(_master_weights(checkpoint))
    return model, load_tokenizer(job.base)


def _master_weights(checkpoint: Path) -> dict[str, Any]:
    """Return DeepSpeed's weights in float32; beside them it saves rounded ones, in which most updates would be lost."""
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    weights: dict[str, Any] = get_fp32_state_dict_from_zero_checkpoint(str(checkpoint))
    return weights
