"""Training the executor agent: ADPO on frontier tasks with the vote as the label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig

from agent0.answers import Verdict, equivalent_many
from agent0.config import ExecutorSettings
from agent0.domains import get_prompts
from agent0.progress import UNSHOWN, Shown
from agent0.rollout.engine import ProgramRunner, TokenBudget
from agent0.seeds import sampled
from agent0.training.adpo import SELF_CONSISTENCY_COLUMN, ADPOTrainer
from agent0.training.batch import BatchPlan
from agent0.training.grpo import Row, lora_configuration, ordered_rows
from agent0.training.job import TrainingJob
from agent0.training.oversampling import PROMPT_COLUMN, Oversampling
from agent0.training.policy import PolicyRollouts
from agent0.training.rollout_metrics import log_rollouts
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


def executor_trainer(
    job: TrainingJob,
    settings: ExecutorSettings,
    plan: BatchPlan,
    arguments: GRPOConfig,
    model: torch.nn.Module,
    tokenizer: Any,
    tasks: Sequence[LabelledTask],
    sandbox: ProgramRunner,
    shown: Shown = UNSHOWN,
) -> ADPOTrainer:
    """Return the trainer of the executor agent on `tasks`."""
    prompts = get_prompts(job.rollout)
    rows: list[Row] = [
        {
            PROMPT_COLUMN: prompts.render(tokenizer, prompts.solve(task.task.question)),
            LABEL_COLUMN: task.vote.answer,
            SELF_CONSISTENCY_COLUMN: task.vote.self_consistency,
        }
        for task in tasks
    ]
    factor = job.training.oversample

    def others(own: Sequence[str], count: int, seed: int) -> list[str]:
        return sampled([row[PROMPT_COLUMN] for row in rows if row[PROMPT_COLUMN] not in own], count, seed)

    trainer = ADPOTrainer(
        model=model,
        reward_funcs=[ExecutorReward()],
        args=arguments,
        train_dataset=Dataset.from_list(ordered_rows(rows, plan, settings.steps, job.seed)),
        processing_class=tokenizer,
        rollout_func=PolicyRollouts(
            job,
            settings.sampling,
            sandbox,
            TokenBudget.from_settings(job.rollout),
            shown=shown,
            oversampling=Oversampling(factor, settings.group_size, rows, others) if factor > 1 else None,
        ),
        peft_config=lora_configuration(job),
        adpo=settings.adpo,
    )
    trainer.remove_callback(PrinterCallback)  # the step logger reports instead
    return trainer
