"""Training the executor agent: ADPO on frontier tasks with the vote as the label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback

from agent0.answers import Verdict, equivalent_many
from agent0.config import ExecutorSettings, RolloutSettings
from agent0.protocol import PromptSet
from agent0.rollout.engine import ProgramRunner
from agent0.training.adpo import SELF_CONSISTENCY_COLUMN, ADPOTrainer
from agent0.training.grpo import (
    BatchPlan,
    LogMetrics,
    StepLogger,
    grpo_arguments,
    log_rollouts,
    rollout_function,
)
from agent0.types import LabelledTask, Trajectory

LABEL_COLUMN = "pseudo_label"


class ExecutorReward:
    """1 where the answer is equivalent to the majority answer, else 0."""

    __name__ = "executor_reward"

    def __call__(
        self,
        trajectory: Sequence[Trajectory],
        pseudo_label: Sequence[str],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        """Return the reward of each trajectory; the signature is TRL's."""
        log_rollouts(log_metric, list(trajectory))
        verdicts = equivalent_many([(label, t.answer) for label, t in zip(pseudo_label, trajectory, strict=True)])
        return [float(verdict is Verdict.TRUE) for verdict in verdicts]


def train_executor(
    *,
    model: torch.nn.Module,
    tokenizer: Any,
    tasks: Sequence[LabelledTask],
    prompts: PromptSet,
    sandbox: ProgramRunner,
    settings: ExecutorSettings,
    rollout: RolloutSettings,
    seed: int,
    output: Path,
    log: LogMetrics,
) -> list[dict[str, float]]:
    """Train `model` in place on `tasks`; return the numbers of each optimizer step."""
    plan = BatchPlan(settings.tasks_per_step, settings.group_size, settings.updates_per_step, settings.micro_batch_size)
    rows = [
        {
            "prompt": tokenizer.apply_chat_template(
                prompts.solve(task.task.question), add_generation_prompt=True, tokenize=False
            ),
            LABEL_COLUMN: task.vote.answer,
            SELF_CONSISTENCY_COLUMN: task.vote.self_consistency,
        }
        for task in tasks
    ]
    logger = StepLogger(log)
    trainer = ADPOTrainer(
        model=model,
        reward_funcs=[ExecutorReward()],
        args=grpo_arguments(settings, plan, rollout, seed, output),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        rollout_func=rollout_function(sandbox, rollout, settings.sampling, seed),
        callbacks=[logger],
        adpo=settings.adpo,
    )
    trainer.remove_callback(PrinterCallback)  # the step logger reports instead
    trainer.train()
    return logger.history
