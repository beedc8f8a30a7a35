"""What both trainings share: TRL's arguments from our settings, the order of the tasks, and what a step logs."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from importlib import resources
from typing import Any

import torch
from peft import LoraConfig
from transformers import TrainerCallback
from trl import GRPOConfig

from agent0.config import CurriculumSettings, TrainingSettings
from agent0.cpu_arithmetic import fastest_type
from agent0.sandbox import Sandbox
from agent0.seeds import derive_seed
from agent0.training.batch_division import BatchPlan
from agent0.training.engine_memory import engine_share
from agent0.training.training_job import LogMetrics, TrainingJob

Row = dict[str, Any]
LOSS_TYPES = {"sequence": "grpo", "token": "dapo", "dr_grpo": "dr_grpo"}
"""TRL's names of `loss_aggregation`."""


class TrainerArguments(GRPOConfig):  # type: ignore[misc]
    """TRL's arguments, on a CPU that torch can load an optimizer onto.

    With several processes accelerate calls it `cpu:0`, which `torch.load` does not know, so none could be resumed.
    """

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        device: torch.device = super().device
        return torch.device("cpu") if device.type == "cpu" else device


def computes_in_bfloat16(training: TrainingSettings) -> bool:
    """Whether `training.precision` means bfloat16 on this machine."""
    return (fastest_type() if training.precision == "fastest" else training.precision) == "bfloat16"


def grpo_arguments(job: TrainingJob, plan: BatchPlan) -> GRPOConfig:
    """Return TRL's arguments for a job; `steps` counts generation batches, TRL counts optimizer updates."""
    # `rollout_func` is marked experimental; its use is tested here.
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    settings, training = job.algorithm, job.training
    every = training.checkpoints.every
    cpu = not torch.cuda.is_available()
    return TrainerArguments(
        output_dir=str(job.workspace),
        seed=job.seed,
        use_cpu=cpu,
        bf16=computes_in_bfloat16(training),
        gradient_checkpointing=training.gradient_checkpointing,
        max_steps=job.updates,
        shuffle_dataset=False,  # see `ordered_rows`
        per_device_train_batch_size=plan.rows,  # one "micro-batch" of TRL's is an update, which ours cuts itself
        gradient_accumulation_steps=1,
        steps_per_generation=plan.updates,
        num_generations=plan.group_size,
        max_completion_length=job.rollout.max_response_tokens,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=settings.warmup_updates,
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        beta=settings.kl_coefficient,
        use_bias_correction_kl=settings.kl_bias_correction,
        epsilon=settings.clip_range,
        temperature=settings.sampling.temperature,
        top_p=settings.sampling.top_p,
        top_k=settings.sampling.top_k,
        loss_type=LOSS_TYPES[settings.loss_aggregation],
        scale_rewards=_scale(job),
        logging_steps=1,
        logging_nan_inf_filter=False,  # the guards must see what is not a number
        report_to=[],
        save_strategy="steps",  # the last step is saved, too
        save_steps=every * plan.updates if every else job.updates,
        disable_tqdm=True,
        **_vllm_arguments(job, plan),
        **_sharding_arguments(job),
    )


def ordered_rows(rows: Sequence[Row], plan: BatchPlan, steps: int, seed: int) -> list[Row]:
    """Return the rows of all batches in the order in which they are trained on: shuffled anew for each pass over them.

    The whole training is one epoch of this list. A trainer that shuffles for itself forgets its place when it is
    resumed in a later epoch, and would then go on with other tasks.
    """
    batches_per_pass = len(rows) // plan.groups
    ordered: list[Row] = []
    for number in range(math.ceil(steps / batches_per_pass)):
        shuffled = random.Random(derive_seed(seed, "order", number)).sample(rows, len(rows))
        ordered += shuffled[: batches_per_pass * plan.groups]
    return ordered[: steps * plan.groups]


def prompts_of(rows: Sequence[Row], plan: BatchPlan, batch: int, process: int) -> list[str]:
    """Return what TRL asks a process for in a batch of ordered rows: a prompt per trajectory, none after the last.

    Each process draws its part of the batch, in order.
    """
    groups = rows[batch * plan.groups : (batch + 1) * plan.groups]
    prompts = [row["prompt"] for row in groups for _ in range(plan.group_size)]
    share = plan.sequences // plan.processes
    return prompts[process * share : (process + 1) * share]


def lora_configuration(job: TrainingJob) -> LoraConfig | None:
    """Return the adapters to train, or None for full training."""
    lora = job.training.lora
    if not lora.rank:
        return None
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _scale(job: TrainingJob) -> str:
    """Return TRL's name of what an advantage is scaled by: the spread of the rewards of its group, or of the batch."""
    settings = job.algorithm
    return settings.baseline if isinstance(settings, CurriculumSettings) else "group"


def _vllm_arguments(job: TrainingJob, plan: BatchPlan) -> dict[str, Any]:
    training, rollout = job.training, job.rollout
    correction = training.importance_correction
    corrected = {
        "vllm_importance_sampling_correction": correction != "off",
        "vllm_importance_sampling_clip_max": training.importance_cap,
        **({} if correction == "off" else {"vllm_importance_sampling_mode": correction}),
    }
    if (
        training.policy_backend == "transformers" or job.training.sends_adapters
    ):  # of an engine of ours TRL knows nothing
        return corrected
    shared = {
        **corrected,
        "use_vllm": True,
        "vllm_max_model_length": rollout.max_prompt_tokens + rollout.max_response_tokens,
    }
    if training.policy_backend == "vllm":
        return {
            **shared,
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": engine_share(job, plan),
            "vllm_enable_sleep_mode": training.colocated_sleep,
        }
    server = {"vllm_server_base_url": job.policy_endpoint, "vllm_group_port": job.policy_port}
    return {**shared, "vllm_mode": "server", **server}


def _sharding_arguments(job: TrainingJob) -> dict[str, Any]:
    sharding = job.training.sharding
    if sharding == "ddp":
        return {}
    file = resources.files("agent0.training") / "configs" / f"{sharding}.json"
    if sharding == "zero3":
        return {"deepspeed": str(file)}
    # Without a reduction after each pass, every GPU would hold the gradients of the whole model.
    accumulation = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    return {"fsdp": True, "fsdp_config": str(file), "accelerator_config": accumulation}


class StepLogger(TrainerCallback):  # type: ignore[misc]
    """Hands each step's numbers to a function."""

    def __init__(self, log: LogMetrics) -> None:
        self._log = log

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Called by the trainer after each optimizer step; its closing summary is no step and is left out.

        A step that draws no new batch has no reward, but its clip fractions are the ones that can differ from zero.
        """
        numbers = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if "loss" in numbers and state.is_world_process_zero:
            self._log(numbers, state.global_step)


class SandboxReadings(TrainerCallback):  # type: ignore[misc]
    """Puts a reading of this process's sandbox, counted since its start, among the numbers of each step."""

    def __init__(self, trainer: Any, sandbox: Sandbox) -> None:
        self._trainer = trainer
        self._sandbox = sandbox

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer before it logs the step."""
        for name, value in self._sandbox.gauges().metrics().items():
            self._trainer._metrics["train"][name].append(value)
