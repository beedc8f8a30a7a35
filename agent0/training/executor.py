"""Training the executor agent: ADPO on frontier tasks with the vote as the label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig

from agent0.answers import Verdict, default_grader, equivalent_many
from agent0.answers.refusal import refused
from agent0.config import ExecutorSettings
from agent0.domains import Domain, get_domain, get_prompts, settle_all
from agent0.progress import UNSHOWN, Shown
from agent0.rewards import overlong_penalty
from agent0.rollout.engine import TokenBudget
from agent0.seeds import sampled
from agent0.tools import ProgramRunner
from agent0.training.adpo import NEGATIVE_COLUMN, SELF_CONSISTENCY_COLUMN, ADPOTrainer
from agent0.training.batch_division import BatchPlan
from agent0.training.drawing_ahead import DrawingAhead
from agent0.training.dynamic_sampling import DynamicSampling
from agent0.training.engine_turns import EngineTurns
from agent0.training.grpo import Row, lora_configuration, ordered_rows, prompts_of
from agent0.training.oversampling import PROMPT_COLUMN, Oversampling
from agent0.training.policy_rollouts import PolicyRollouts
from agent0.training.pools import EARLIER, EASY, NEGATIVE, NORMAL, pool_of, pooled_rows
from agent0.training.rollout_metrics import log_rollouts
from agent0.training.training_job import TrainingJob
from agent0.types import LabelledTask, Trajectory

QUESTION_COLUMN, LABEL_COLUMN, TENABLE_COLUMN = "question", "pseudo_label", "tenable"


@dataclass(frozen=True)
class Correctness:
    """Says which answers are right: equivalent to their labels, after they are settled where labels are verified."""

    domain: Domain
    sandbox: ProgramRunner

    def __call__(
        self, trajectories: Sequence[Trajectory], questions: Sequence[str], labels: Sequence[str]
    ) -> list[float]:
        """Return 1 where a trajectory's answer is right, else 0."""
        made = settle_all(self.domain, questions, trajectories, self.sandbox)
        verdicts = equivalent_many([(label, t.answer) for label, t in zip(labels, made, strict=True)])
        return [float(verdict is Verdict.TRUE) for verdict in verdicts]


class ExecutorReward:
    """1 where the answer is right, else 0; less what an overlong response loses.

    Of a task that has no trusted answer it is -1 where the vote refuses the answer, else 0.

    Args:
        settings: whether length is punished.
        limit: tokens that a response may have.
        correct: says which answers are right.
    """

    __name__ = "executor_reward"

    def __init__(self, settings: ExecutorSettings, limit: int, correct: Correctness) -> None:
        self._settings = settings
        self._limit = limit
        self._correct = correct

    def __call__(
        self,
        trajectory: Sequence[Trajectory],
        question: Sequence[str],
        pseudo_label: Sequence[str],
        log_metric: Callable[[str, float], None],
        redrawn: Sequence[float] = (),
        negative: Sequence[bool] = (),
        tenable: Sequence[Sequence[str]] = (),
        **_: Any,
    ) -> list[float]:
        """Return the reward of each trajectory; the signature is TRL's.

        `negative` marks the tasks without a trusted answer, and `tenable` has the answers that are not refused.
        """
        log_rollouts(log_metric, list(trajectory))
        for share in redrawn:
            log_metric("rollout/redrawn", share)
        buffer, penalty = self._settings.overlong_buffer, self._settings.overlong_penalty
        lost = [overlong_penalty(len(t.completion_ids), self._limit, buffer, penalty) for t in trajectory]
        if buffer:
            log_metric("reward/overlong", -fmean(lost))
        right = self._correct(trajectory, question, pseudo_label)
        if any(negative):
            wrong = refused([(t.answer, held) for t, held in zip(trajectory, tenable, strict=True)], default_grader())
            right = [-float(bad) if own else good for own, bad, good in zip(negative, wrong, right, strict=True)]
            log_metric("reward/refused", fmean(bad for own, bad in zip(negative, wrong, strict=True) if own))
        return [reward - penalised for reward, penalised in zip(right, lost, strict=True)]


def executor_trainer(
    job: TrainingJob,
    settings: ExecutorSettings,
    plan: BatchPlan,
    arguments: GRPOConfig,
    model: torch.nn.Module,
    tokenizer: Any,
    tasks: Sequence[LabelledTask],
    sandbox: ProgramRunner,
    drawing: DrawingAhead,
    turns: EngineTurns,
    shown: Shown = UNSHOWN,
    earlier: Sequence[LabelledTask] = (),
    negatives: Sequence[LabelledTask] = (),
    anchors: Sequence[LabelledTask] = (),
) -> ADPOTrainer:
    """Return the trainer of the executor agent on `tasks`; with `training.staleness`, `drawing` draws ahead for it.

    `turns` are those at the trainer's engine, if it has one.

    The given `anchors` are mixed in, in the normal pool where there are pools; there tasks of `earlier` iterations are,
    too, and `negatives`, which only have refused answers.
    """
    prompts, correct = get_prompts(job.rollout), Correctness(get_domain(job.rollout.domain), sandbox)

    def row_of(task: LabelledTask, negative: bool = False) -> Row:
        return {
            PROMPT_COLUMN: prompts.render(tokenizer, prompts.solve(task.task.question)),
            QUESTION_COLUMN: task.task.question,
            LABEL_COLUMN: task.vote.answer,
            SELF_CONSISTENCY_COLUMN: task.vote.self_consistency,
            NEGATIVE_COLUMN: negative,
            TENABLE_COLUMN: list(task.tenable),
        }

    rows, given = [row_of(task) for task in tasks], [row_of(task) for task in anchors]
    if settings.pools.enabled:
        pools = {EARLIER: [row_of(task) for task in earlier], NEGATIVE: [row_of(task, True) for task in negatives]}
        for task, row in zip(tasks, rows, strict=True):
            pools.setdefault(pool_of(task, settings.pools), []).append(row)
        pools.setdefault(NORMAL, []).extend(given)
        ordered = pooled_rows(pools, settings.pools, plan.groups, settings.steps, job.seed)
        rows = [row for pool in pools.values() for row in pool]
        teaching = [row for name, pool in pools.items() if name not in (EASY, NEGATIVE) for row in pool]
    else:
        rows = [*rows, *given]
        ordered, teaching = ordered_rows(rows, plan, settings.steps, job.seed), rows
    choose = DynamicSampling(
        rows,
        lambda group, row: correct(group, [row[QUESTION_COLUMN]] * len(group), [row[LABEL_COLUMN]] * len(group)),
        settings.group_size,
        settings.redraws,
        teaching,
    )
    factor = job.training.oversample
    ahead = drawing if job.training.staleness else None

    def others(own: Sequence[str], count: int, seed: int) -> list[str]:
        return sampled([row[PROMPT_COLUMN] for row in teaching if row[PROMPT_COLUMN] not in own], count, seed)

    trainer = ADPOTrainer(
        model=model,
        reward_funcs=[ExecutorReward(settings, job.rollout.max_response_tokens, correct)],
        args=arguments,
        train_dataset=Dataset.from_list(ordered),
        processing_class=tokenizer,
        rollout_func=PolicyRollouts(
            job,
            settings.sampling,
            sandbox,
            TokenBudget.from_settings(job.rollout),
            turns,
            shown,
            choose=choose if settings.redraws else None,
            oversampling=Oversampling(factor, settings.group_size, rows, others) if factor > 1 else None,
            ahead=ahead,
            following=lambda step, process: prompts_of(ordered, plan, step // plan.updates, process),
        ),
        peft_config=lora_configuration(job),
        adpo=settings.adpo,
        ahead=ahead,
        drawn_by_engine=job.training.sends_adapters,
        negative_weight=settings.negative_weight,
        micro_batch_tokens=job.training.micro_batch_tokens,
    )
    trainer.remove_callback(PrinterCallback)  # the step logger reports instead
    return trainer
