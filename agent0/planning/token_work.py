"""Tokens of each stage, from the settings and an assumed mean length of a response.

Every proposal counts as valid and every tool token as drawn, so the tokens err on the high side. The files of known
tasks are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent0.benchmarks.catalogue import benchmark
from agent0.config import Config, EvaluationSettings
from agent0.planning.placement import StageName, algorithm, sequences_per_step

MEAN_RESPONSE_SHARE = 0.35
"""Mean response as a share of `rollout.max_response_tokens` where nothing else is said."""
MEAN_PROMPT_SHARE = 0.2
"""Mean prompt as a share of `rollout.max_prompt_tokens`."""


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a trajectory."""

    prompt: float
    response: float

    @property
    def context(self) -> float:
        """Tokens in the cache of a trajectory that is half drawn."""
        return self.prompt + self.response / 2


@dataclass(frozen=True)
class Work:
    """Tokens of a stage: drawn by the model in training, drawn by frozen models, trained on (with their prompts)."""

    steps: int = 0
    drawn_by_policy: float = 0.0
    drawn_by_frozen: float = 0.0
    trained: float = 0.0

    @property
    def drawn(self) -> float:
        """All drawn tokens."""
        return self.drawn_by_policy + self.drawn_by_frozen


def mean_lengths(config: Config, mean_response_tokens: int | None) -> Lengths:
    """Return the assumed mean lengths; a given mean response is cut to the budget."""
    longest = config.rollout.max_response_tokens
    given = MEAN_RESPONSE_SHARE * longest if mean_response_tokens is None else min(mean_response_tokens, longest)
    return Lengths(MEAN_PROMPT_SHARE * config.rollout.max_prompt_tokens, float(given))


def stage_work(stage: StageName, config: Config, lengths: Lengths) -> Work:
    """Return the tokens of one stage in one iteration."""
    if stage in ("curriculum_training", "executor_training"):
        settings = algorithm(config, stage)
        sequences = settings.steps * sequences_per_step(settings)
        frozen = sequences * config.curriculum.executor_samples if stage == "curriculum_training" else 0
        return Work(
            steps=settings.steps,
            drawn_by_policy=sequences * lengths.response,
            drawn_by_frozen=frozen * lengths.response,
            trained=sequences * (lengths.prompt + lengths.response),
        )
    return Work(drawn_by_frozen=_trajectories(stage, config) * lengths.response)


def _trajectories(stage: StageName, config: Config) -> int:
    proposals = config.generation.proposals
    if stage == "task_generation":
        return proposals
    if stage == "sandboxed_execution":
        execution = config.execution
        return proposals * execution.samples + min(proposals, execution.probe_tasks) * execution.probe_samples
    return sum(_evaluated(name, config.evaluation) for name in config.evaluation.benchmarks)


def _evaluated(name: str, settings: EvaluationSettings) -> int:
    """Trajectories of one benchmark."""
    entry = benchmark(name)
    if entry.generate is not None:
        groups = entry.dataset.rows // entry.per_group
        return groups * settings.questions_per_level * settings.samples
    questions = min(settings.limit or entry.dataset.rows, entry.dataset.rows)
    return questions * (settings.published_samples or entry.protocols[settings.preset].decoding.samples)
