"""Training the curriculum agent: GRPO, rewarded by what the frozen executor makes of each proposed task."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig

from agent0.answers import default_grader
from agent0.answers.derivations import grounded_vote
from agent0.config import CurriculumSettings
from agent0.domains import UNCONDITIONED, get_domain, get_prompts
from agent0.errors import Agent0Error
from agent0.progress import UNSHOWN, Shown
from agent0.rewards import ProposedTask, Terms, curriculum_reward, repetition_shares
from agent0.rewards.diversity import archive_likeness
from agent0.rollout.agents import (
    Proposal,
    QuestionRules,
    mean_tool_calls,
    nothing_valid,
    read_proposal,
    read_proposals,
    truncated_share,
)
from agent0.rollout.engine import TokenBudget
from agent0.seeds import derive_seed
from agent0.tools import ProgramRunner
from agent0.training.batch_division import BatchPlan
from agent0.training.conditions import TOPIC_REWARD, Conditions
from agent0.training.drawing_ahead import AheadTrainer
from agent0.training.engine_turns import EngineTurns
from agent0.training.grpo import Row, lora_configuration
from agent0.training.oversampling import PROMPT_COLUMN, Oversampling
from agent0.training.policy_rollouts import PolicyRollouts
from agent0.training.rollout_metrics import log_rollouts
from agent0.training.solver import Solution, Solver
from agent0.training.training_job import TrainingJob
from agent0.types import Condition, LabelledTask, Trajectory, Vote

REWARD_SECONDS = "reward/seconds"
TOPIC_COLUMN = "topic"


class ExecutorInTheLoopReward:
    """Rewards a batch of proposals: parse, let the frozen executor behind `solver` solve each k times, vote, score.

    A question that was proposed several times in the batch is solved once, and its vote shared.

    Raises:
        UsageError: a further term of the settings cannot be found.
    """

    __name__ = "curriculum_reward"

    def __init__(
        self,
        solver: Solver,
        rules: QuestionRules,
        sandbox: ProgramRunner,
        settings: CurriculumSettings,
        seed: int,
        archive: Sequence[str] = (),
    ) -> None:
        self._solver = solver
        self._rules = rules
        self._sandbox = sandbox
        self._settings = settings
        self._terms = Terms(settings.reward.terms)
        self._seed = seed
        self._archive = archive if settings.reward.archive_weight else ()

    def proposed(self, trajectory: Trajectory, step: int) -> None:
        """Hear of a proposal of this process, for the batch before update `step`, the moment it has ended.

        One that must be examined in the sandbox waits for its batch, since this is no place to wait in. What it was
        asked for is not known here: one that is off its topic is solved in vain.
        """
        if self._rules.verifier is not None:
            return
        question = read_proposal(trajectory, UNCONDITIONED.topic, self._rules).question
        if question is not None:
            self._solver.ask(question, self._seed_of(step))

    def __call__(
        self,
        trajectory: Sequence[Trajectory],
        log_metric: Callable[[str, float], None],
        trainer_state: Any,
        topic: Sequence[str] = (),
        **_: Any,
    ) -> list[float]:
        """Return the reward of each proposal; the signature is TRL's. `topic` is what each was asked for.

        Raises:
            Agent0Error: no proposal of the first batch is valid, so nothing would be learned; or a further term fails.
        """
        began = time.monotonic()
        topics = topic or [UNCONDITIONED.topic] * len(trajectory)
        proposals = read_proposals(trajectory, topics, self._rules, self._sandbox)
        if trainer_state.global_step == 0:
            _check_first(proposals)
        questions = sorted({p.question for p in proposals if p.question is not None})
        solutions = self._solver.solve(questions, self._seed_of(trainer_state.global_step))
        solved = {question: solutions[question].trajectories for question in questions}
        votes = {question: self._vote(question, solutions[question]) for question in questions}
        valid = np.array([p.question is not None for p in proposals])
        shares = np.zeros(len(proposals))
        asked = [p.question for p in proposals if p.question is not None]
        shares[valid] = self._shares(asked, len(proposals))
        likeness = np.zeros(len(proposals))
        likeness[valid] = archive_likeness(asked, self._archive, self._settings.reward.repetition_distance)
        tasks = [
            ProposedTask(p.question, p.trajectory, solved[p.question], votes[p.question]) if p.question else None
            for p in proposals
        ]
        score = curriculum_reward(
            valid=valid,
            self_consistency=np.array([votes[p.question].self_consistency if p.question else 0.0 for p in proposals]),
            tool_calls=np.array([mean_tool_calls(solved[p.question]) if p.question else 0.0 for p in proposals]),
            shares=shares,
            settings=self._settings.reward,
            likeness=likeness,
            terms=self._terms.of(tasks),
        )
        for name in sorted(set(topic) - {UNCONDITIONED.topic}):
            of_topic = [reward for own, reward in zip(topic, score.total, strict=True) if own == name]
            log_metric(f"{TOPIC_REWARD}{name}", float(np.mean(of_topic)))
        log_rollouts(log_metric, list(trajectory))
        self._log(log_metric, proposals, solved, votes, score.means())
        log_metric(REWARD_SECONDS, time.monotonic() - began)
        return [float(reward) for reward in score.total]

    def _vote(self, question: str, solution: Solution) -> Vote:
        """Return the vote of all samples, or of the grounded ones alone."""
        if not self._settings.reward.grounded:
            return solution.counted.result()
        return grounded_vote(question, solution.trajectories, default_grader())

    def _seed_of(self, step: int) -> int:
        return derive_seed(self._seed, "reward", step, PartialState().process_index)

    def _shares(self, questions: list[str], batch: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the cluster size of each valid question of this process as a share of all processes' batch."""
        state = PartialState()
        parts: list[tuple[list[str], int]] = gather_object([(questions, batch)])
        everything = [question for part, _ in parts for question in part]
        if not everything:
            return np.zeros(0)
        within = repetition_shares(everything, self._settings.reward.repetition_distance)
        shares = np.asarray(within) * len(everything) / sum(size for _, size in parts)
        begin = sum(len(part) for part, _ in parts[: state.process_index])
        return shares[begin : begin + len(questions)]

    def _log(
        self,
        log_metric: Callable[[str, float], None],
        proposals: list[Proposal],
        solved: dict[str, list[Trajectory]],
        votes: dict[str, Vote],
        components: dict[str, float],
    ) -> None:
        valid = [p for p in proposals if p.question is not None]
        log_metric("proposals/valid", len(valid) / len(proposals))
        log_metric("proposals/distinct", len(votes) / max(1, len(valid)))
        for name, value in components.items():
            log_metric(f"reward/{name}", value)
        if votes:
            everything = [t for trajectories in solved.values() for t in trajectories]
            log_metric("executor/self_consistency", float(np.mean([v.self_consistency for v in votes.values()])))
            log_metric("executor/tool_calls", mean_tool_calls(everything))
            log_metric("executor/truncated", truncated_share(everything))


def _check_first(proposals: list[Proposal]) -> None:
    rejections = gather_object([p.rejection for p in proposals])
    if all(rejections):
        raise Agent0Error(nothing_valid(Counter(rejections)))


def curriculum_trainer(
    job: TrainingJob,
    settings: CurriculumSettings,
    plan: BatchPlan,
    arguments: GRPOConfig,
    model: torch.nn.Module,
    tokenizer: Any,
    reward: ExecutorInTheLoopReward,
    sandbox: ProgramRunner,
    turns: EngineTurns,
    shown: Shown = UNSHOWN,
    earlier: Sequence[LabelledTask] = (),
) -> AheadTrainer:
    """Return the trainer of the curriculum agent.

    `turns` are those at the trainer's engine, which the executor behind `reward` may share; from the `earlier` tasks
    come the examples that prompts show. The dataset has one row per group of each batch.
    """
    prompts = get_prompts(job.rollout)
    conditions = Conditions(settings.conditioning, get_domain(job.rollout.domain).topics, earlier)

    @cache  # most trainings ask for few things, or one, again and again
    def row_of(condition: Condition) -> Row:
        fitted = prompts.fitted(tokenizer, condition, job.rollout.max_prompt_tokens)
        return {PROMPT_COLUMN: prompts.render(tokenizer, prompts.propose(fitted)), TOPIC_COLUMN: fitted.topic}

    rows = list(map(row_of, conditions.evenly(plan.groups * settings.steps, job.seed)))
    # Any proposals make a group where all have one prompt; so none is drawn for a group that does not come about.
    factor = job.training.oversample
    more = Oversampling(factor, 1, rows[:1], lambda own, count, _: [own[0]] * count) if factor > 1 else None
    trainer = AheadTrainer(
        model=model,
        reward_funcs=[reward],
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        rollout_func=PolicyRollouts(
            job,
            settings.sampling,
            sandbox,
            TokenBudget.from_settings(job.rollout.for_proposer(), "question"),
            turns,
            shown,
            reward.proposed,
            oversampling=more,
        ),
        peft_config=lora_configuration(job),
        drawn_by_engine=job.training.sends_adapters,
        micro_batch_tokens=job.training.micro_batch_tokens,
    )
    trainer.remove_callback(PrinterCallback)  # the step logger reports instead
    return trainer
