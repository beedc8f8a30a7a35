"""The guard of the executor's training: keeps the executor before it where the known tasks say that it did harm.

Both executors solve the same tasks, which no benchmark asks and nothing is trained on. One training in forty that
changed nothing is undone by chance.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from agent0.answers import Verdict, equivalent_many
from agent0.config import ExecutionSettings, RolloutSettings, SandboxSettings
from agent0.progress import Drawing
from agent0.promotion.paired_tests import sign_flip
from agent0.rollout.agents import ExecutorAgent
from agent0.sandbox import open_sandbox
from agent0.seeds import derive_seed
from agent0.stages.known_tasks import read_known_tasks
from agent0.stages.open_agents import open_executor
from agent0.stages.session import Stage, StageResult
from agent0.types import KnownTask

SIGNIFICANCE = 0.05
KEPT_PREVIOUS = "executor/guard_kept_previous"
"""Metric that is 1 where the executor before the training was kept."""


def guard_training(
    stage: Stage,
    *,
    before: Path,
    trained: Path,
    samples: int,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    execution: ExecutionSettings,
) -> StageResult:
    """Ask both executors the known tasks, and put the one before into `trained` where the training did harm.

    Harm is a lower accuracy with a p-value of the paired test by sign flips below 0.05.
    """
    known = read_known_tasks(execution)
    answers: list[list[float]] = []
    for model in (before, trained):
        with (
            open_sandbox(sandbox) as pool,
            open_executor(model, pool, rollout, execution.sampling, log=trained, seed=stage.seed) as executor,
        ):
            answers.append(_accuracies(stage, executor, known, samples))
    old, new = answers
    p_value = sign_flip(old, new)
    harmed = fmean(new) < fmean(old) and p_value < SIGNIFICANCE
    metrics = {
        "executor/guard_accuracy_before": fmean(old),
        "executor/guard_accuracy_after": fmean(new),
        "executor/guard_p_value": p_value,
        KEPT_PREVIOUS: float(harmed),
    }
    if not harmed:
        return StageResult(metrics)
    shutil.rmtree(trained)
    shutil.copytree(before, trained)
    return StageResult(
        metrics,
        warnings=(
            f"The training did harm: of {len(old)} known tasks the executor solved {fmean(old):.1%} before it and "
            f"{fmean(new):.1%} after it (p = {p_value:.2g}), so the one before is kept.",
        ),
    )


def _accuracies(stage: Stage, executor: ExecutorAgent, known: Sequence[KnownTask], samples: int) -> list[float]:
    """Return the share of right answers of an executor to each known task."""
    watch = Drawing(stage.progress, samples * len(known), "trajectories of the guard")
    solved = executor.solve([task.question for task in known], samples, derive_seed(stage.seed, "guard"), watch)
    pairs = [(task.answer, made.answer) for task, group in zip(known, solved, strict=True) for made in group]
    right = [verdict is Verdict.TRUE for verdict in equivalent_many(pairs)]
    return [fmean(right[start : start + samples]) for start in range(0, len(right), samples)]
