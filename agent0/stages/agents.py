"""Agents for stages that generate with a frozen model."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

import agent0.lean_transformers  # noqa: F401  # before anything that imports transformers
from agent0.config import RolloutSettings, SamplingSettings
from agent0.protocol import get_prompts
from agent0.rollout.agents import CurriculumAgent, ExecutorAgent
from agent0.rollout.engine import ProgramRunner, RolloutEngine, TokenBudget
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.training.models import load_model
from agent0.worlds import get_world


def load_executor(
    path: Path, sandbox: ProgramRunner, rollout: RolloutSettings, sampling: SamplingSettings
) -> ExecutorAgent:
    """Load a frozen executor agent from a model folder."""
    tokenizer, engine = _engine(path, sandbox, rollout, sampling)
    return ExecutorAgent(engine, tokenizer, get_prompts(rollout.prompts))


def load_proposer(
    path: Path, sandbox: ProgramRunner, rollout: RolloutSettings, sampling: SamplingSettings
) -> CurriculumAgent:
    """Load a frozen curriculum agent from a model folder."""
    tokenizer, engine = _engine(path, sandbox, rollout, sampling)
    return CurriculumAgent(engine, tokenizer, get_prompts(rollout.prompts), get_world(rollout.world))


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _engine(
    path: Path, sandbox: ProgramRunner, rollout: RolloutSettings, sampling: SamplingSettings
) -> tuple[Any, RolloutEngine]:
    gpu = torch.cuda.is_available()
    model, tokenizer = load_model(path, "bfloat16" if gpu else "float32", "cuda" if gpu else "cpu")
    backend = TransformersBackend(model, tokenizer, sampling, rollout.batch_size, rollout.compaction_interval)
    return tokenizer, RolloutEngine(tokenizer, backend, sandbox, TokenBudget.from_settings(rollout))
