"""Stage: the agent that the first round begins with, as a folder: the base model, or one of an earlier evolution."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent0.config import ModelSettings
from agent0.stages.base_model import run_base_model
from agent0.stages.session import Stage, StageResult


def run_starting_agent(stage: Stage, *, base: Path, uri: str, output: Path, model: ModelSettings) -> StageResult:
    """Put the agent at `uri` into `output`; without one, the base model.

    Raises:
        UsageError: the place holds no model, or its tokenizer cannot be used.
        Agent0Error: the hub or the store does not give it.
    """
    if not uri:
        shutil.copytree(base, output, dirs_exist_ok=True)
        return StageResult({})
    return run_base_model(stage, output=output, model=model.model_copy(update={"source": uri}))
