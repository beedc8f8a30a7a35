"""An evaluation by a scripted model: its settings, its answers, its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent0.benchmarks.spec import Preset
from agent0.config import EvaluationSettings, RolloutSettings, SamplingSettings, SandboxSettings
from agent0.evaluation.assignments import Assignment
from agent0.evaluation.sample_runner import OpenBackend, open_stores, run_assignments
from agent0.evaluation.sample_store import SampleStore
from agent0.rollout.engine import Backend
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox.stage_sandbox import NoSandbox

ROLLOUT = RolloutSettings(batch_size=5, max_turns=2, max_observation_tokens=64)
SANDBOX = SandboxSettings()


def settings_for(data: Path, *names: str, **fields: Any) -> EvaluationSettings:
    return EvaluationSettings.model_validate(
        {"benchmarks": names, "data": str(data), "sampled_rows": True, "tool": False, "logs": False} | fields
    )


def opener(tokenizer: Any, write: Callable[[str], str], concurrency: int | None = 4) -> OpenBackend:
    @contextmanager
    def opened(rollout: RolloutSettings, sampling: SamplingSettings) -> Iterator[Backend]:
        yield ScriptedBackend(tokenizer, write, concurrency)

    return opened


def nothing(assignment: Assignment, done: int) -> None:
    """Shows no progress."""


def run(
    assignments: Sequence[Assignment], folder: Path, tokenizer: Any, opened: OpenBackend, tool: Any = None
) -> dict[str, SampleStore]:
    stores = open_stores(assignments, folder, "digest", ROLLOUT, SANDBOX)
    run_assignments(assignments, stores, opened, tokenizer, tool or NoSandbox(), ROLLOUT, nothing)
    return stores


def echoing(assignments: Sequence[Assignment], preset: Preset) -> Callable[[str], str]:
    """Answers the question that stands last in the prompt, in the form that the preset asks for."""
    answers = {q.item.question: a.benchmark.echo[preset](q.item) for a in assignments for q in a.questions}

    def write(text: str) -> str:
        return answers[max(answers, key=text.rfind)]

    return write
