"""Agents for stages that generate with a frozen model."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent0.config import RolloutSettings, SamplingSettings
from agent0.domains import get_domain, get_prompts
from agent0.rollout.agents import CurriculumAgent, ExecutorAgent, askable
from agent0.rollout.backends import open_backend
from agent0.rollout.engine import RolloutEngine, TokenBudget
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.tokens import check_prompts
from agent0.tools import ProgramRunner


@contextmanager
def open_executor(
    path: Path,
    sandbox: ProgramRunner,
    rollout: RolloutSettings,
    sampling: SamplingSettings,
    *,
    log: Path,
    seed: int,
    gpus: Sequence[int] | None = None,
    questions: Iterable[str] = (),
) -> Iterator[ExecutorAgent]:
    """Open a frozen executor agent from a model folder; see `open_backend`.

    `questions` that will be asked are checked against the budget before the model is loaded.
    """
    tokenizer, prompts = load_tokenizer(path), get_prompts(rollout)
    encoded = (prompts.encode(tokenizer, prompts.solve(question)) for question in questions)
    check_prompts(encoded, rollout.max_prompt_tokens)
    with open_backend(path, tokenizer, rollout, sampling, log=log, gpus=gpus, seed=seed) as backend:
        engine = RolloutEngine(tokenizer, backend, sandbox, TokenBudget.from_settings(rollout))
        yield ExecutorAgent(engine, prompts, get_domain(rollout.domain))


@contextmanager
def open_proposer(
    path: Path,
    sandbox: ProgramRunner,
    rollout: RolloutSettings,
    sampling: SamplingSettings,
    *,
    executor: Path,
    log: Path,
    seed: int,
    gpus: Sequence[int] | None = None,
) -> Iterator[CurriculumAgent]:
    """Open a frozen curriculum agent from a model folder; see `open_backend`.

    Its questions must fit the prompt of the model in the folder `executor`, which will be asked them.
    """
    tokenizer, prompts = load_tokenizer(path), get_prompts(rollout)
    rules = askable(executor, rollout)
    check_prompts([prompts.encode(tokenizer, prompts.propose())], rollout.max_prompt_tokens)
    with open_backend(path, tokenizer, rollout, sampling, log=log, gpus=gpus, seed=seed) as backend:
        engine = RolloutEngine(
            tokenizer, backend, sandbox, TokenBudget.from_settings(rollout.for_proposer(), "question")
        )
        yield CurriculumAgent(engine, prompts, rules)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
