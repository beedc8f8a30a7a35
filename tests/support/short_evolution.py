"""An evolution of a few minutes: every stage runs, with settings as small as they can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SEED = 3
SHORT = [
    "model.tiny.steps=260",
    "model.tiny.hidden_size=64",
    "model.tiny.direct_share=0.1",
    "curriculum.steps=2",
    "curriculum.executor_samples=4",
    "generation.proposals=48",
    "execution.samples=4",
    "execution.probe_tasks=8",
    "filtering.min_self_consistency=0.0",
    "filtering.max_self_consistency=1.0",
    "executor.steps=2",
    "evaluation.questions_per_level=6",
    "evaluation.samples=2",
]
SHORTEST = [
    "model.tiny.steps=260",
    "model.tiny.hidden_size=64",
    "model.tiny.direct_share=0.1",
    "curriculum.steps=1",
    "curriculum.executor_samples=4",
    "generation.proposals=40",
    "execution.samples=4",
    "execution.probe_tasks=6",
    "filtering.min_self_consistency=0.0",
    "filtering.max_self_consistency=1.0",
    "executor.steps=1",
    "evaluation.questions_per_level=4",
    "evaluation.samples=2",
]
"""Shorter still, for tests of one round."""
LANGUAGE_MODEL = [
    "iterations=1",
    "warm_start.steps=5",
    "warm_start.batch_size=2",
    "warm_start.learning_rate=3e-4",
    "warm_start.propose_share=0.5",
    "curriculum.steps=1",
    "curriculum.prompts_per_step=1",
    "curriculum.group_size=4",
    "curriculum.executor_samples=2",
    "generation.proposals=8",
    "execution.samples=2",
    "execution.probe_tasks=1",
    "execution.probe_samples=1",
    "filtering.min_self_consistency=0.0",
    "filtering.max_self_consistency=1.0",
    "filtering.min_tasks=1",
    "executor.steps=1",
    "executor.tasks_per_step=1",
    "executor.group_size=2",
    "executor.updates_per_step=1",
    "evaluation.questions_per_level=1",
    "evaluation.samples=1",
]
"""One round and a handful of tasks, for a language model on two cores."""


def evolve_language_model(folder: Path, recipe: str, cache: Path, settings: list[str]) -> Path:
    """Run a recipe for a language model into a new folder below `folder` and return it; `cache` holds the model."""
    environment = {
        **os.environ,
        "AGENT0_CACHE": str(cache),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait would take the cores from the other tests
    }
    arguments = ["evolve", "--recipe", recipe, "--output", str(folder / "run"), *arguments_of(settings)]
    done = subprocess.run(agent0(*arguments), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr + (folder / "run" / "log.txt").read_text()[-3000:]
    return folder / "run"


def arguments_of(settings: list[str]) -> list[str]:
    """Return the settings as arguments of a command."""
    return [part for item in settings for part in ("--set", item)]


def command(output: Path, *extra: str, iterations: int = 2) -> list[str]:
    """Return the command that runs it into `output`."""
    arguments = ["evolve", "--output", str(output), "--iterations", str(iterations), "--seed", str(SEED)]
    return agent0(*arguments, *arguments_of(SHORT), *extra)


def agent0(*arguments: str) -> list[str]:
    """Return a command of the command line."""
    return [sys.executable, "-c", "from agent0.cli.main import main; main()", *arguments]


def events(output: Path) -> list[dict[str, Any]]:
    """Return what has begun and ended so far."""
    path = output / "progress.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
