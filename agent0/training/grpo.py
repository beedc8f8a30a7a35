"""What both trainings share: TRL's arguments from our settings, and rollouts by our engine.

Leaves out checkpoints and several devices' placement; a training here is one process that runs to its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from trl import GRPOConfig
from trl.models import unwrap_model_for_generation

from agent0.config import CurriculumSettings, ExecutorSettings, RolloutSettings, SamplingSettings
from agent0.errors import UsageError
from agent0.rollout.engine import ProgramRunner, RolloutEngine, TokenBudget
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.seeds import derive_seed
from agent0.types import Trajectory

TRAJECTORY_COLUMN = "trajectory"

LogMetrics = Callable[[Mapping[str, float], int], None]
RolloutFunction = Callable[[list[str], Any], dict[str, Any]]


@dataclass(frozen=True)
class BatchPlan:
    """How one generation batch is cut: groups of trajectories, optimizer updates, micro-batches."""

    groups: int
    group_size: int
    updates: int
    micro_batch_size: int

    @property
    def sequences(self) -> int:
        """Trajectories in a generation batch."""
        return self.groups * self.group_size

    def __post_init__(self) -> None:
        per_update, rest = divmod(self.sequences, self.updates)
        if rest or per_update % (self.micro_batch_size or per_update):
            raise UsageError(
                f"{self.groups} groups of {self.group_size} trajectories cannot be cut into {self.updates} updates of "
                f"micro-batches of {self.micro_batch_size or per_update}; choose numbers that divide."
            )

    @property
    def forward_size(self) -> int:
        """Sequences per forward pass."""
        return self.micro_batch_size or self.sequences // self.updates

    @property
    def accumulation(self) -> int:
        """Forward passes per optimizer update."""
        return self.sequences // self.updates // self.forward_size


def grpo_arguments(
    settings: CurriculumSettings | ExecutorSettings,
    plan: BatchPlan,
    rollout: RolloutSettings,
    seed: int,
    output: Path,
) -> GRPOConfig:
    """Return TRL's arguments for `settings`; `steps` counts generation batches, TRL counts optimizer updates."""
    os.environ.setdefault(
        "TRL_EXPERIMENTAL_SILENCE", "1"
    )  # `rollout_func` is marked experimental; its use is tested here
    cpu = not torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(output),
        seed=seed,
        use_cpu=cpu,
        bf16=not cpu,
        gradient_checkpointing=not cpu,
        max_steps=settings.steps * plan.updates,
        per_device_train_batch_size=plan.forward_size,
        gradient_accumulation_steps=plan.accumulation,
        steps_per_generation=plan.updates * plan.accumulation,
        num_generations=plan.group_size,
        max_completion_length=rollout.max_response_tokens,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        weight_decay=0.01,
        max_grad_norm=settings.max_grad_norm,
        beta=settings.kl_coefficient,
        epsilon=settings.clip_range,
        temperature=settings.sampling.temperature,
        top_p=settings.sampling.top_p,
        top_k=settings.sampling.top_k,
        loss_type="grpo",
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )


def rollout_function(
    sandbox: ProgramRunner, rollout: RolloutSettings, sampling: SamplingSettings, seed: int
) -> RolloutFunction:
    """Return TRL's `rollout_func`: our engine over the model in training.

    Each reward function finds the trajectories in its `trajectory` argument.
    """

    def roll_out(prompts: list[str], trainer: Any) -> dict[str, Any]:
        def unwrapped() -> AbstractContextManager[Any]:
            context: AbstractContextManager[Any] = unwrap_model_for_generation(
                trainer.model_wrapped, trainer.accelerator
            )
            return context

        tokenizer = trainer.processing_class
        backend = TransformersBackend(unwrapped, tokenizer, sampling, rollout.batch_size, rollout.compaction_interval)
        engine = RolloutEngine(tokenizer, backend, sandbox, TokenBudget.from_settings(rollout))
        encoded = [tokenizer(prompt, add_special_tokens=False).input_ids for prompt in prompts]
        trajectories = engine.run(
            encoded, derive_seed(seed, trainer.state.global_step, trainer.accelerator.process_index)
        )
        return {
            "prompt_ids": [list(t.prompt_ids) for t in trajectories],
            "completion_ids": [list(t.completion_ids) for t in trajectories],
            "env_mask": [list(t.mask) for t in trajectories],
            "logprobs": None,
            TRAJECTORY_COLUMN: trajectories,
        }

    return roll_out


def log_rollouts(log_metric: Callable[[str, float], None], trajectories: list[Trajectory]) -> None:
    """Log what the rollouts of a training batch look like."""
    count = len(trajectories)
    log_metric("rollout/tool_calls", sum(len(t.tool_calls) for t in trajectories) / count)
    log_metric("rollout/truncated", sum(t.truncated for t in trajectories) / count)
    log_metric("rollout/answered", sum(t.answer is not None for t in trajectories) / count)


class StepLogger(TrainerCallback):  # type: ignore[misc]
    """Hands each step's numbers to a function, and keeps them."""

    def __init__(self, log: LogMetrics) -> None:
        self._log = log
        self.history: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Called by the trainer after each optimizer step; its closing summary is no step and is left out.

        A step that draws no new batch has no reward, but its clip fractions are the ones that can differ from zero.
        """
        numbers = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if "loss" in numbers:
            self.history.append({"step": float(state.global_step), **numbers})
            self._log(numbers, state.global_step)
