"""What an evaluation leaves behind: `evaluation.json`, the verdicts by question, and the logs of all samples."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agent0.config import EvaluationSettings, RolloutSettings
from agent0.evaluation.assignments import Assignment
from agent0.evaluation.executor_scores import Judged
from agent0.evaluation.inspect_log import write_log
from agent0.evaluation.results import EvaluationReport, write_results
from agent0.evaluation.sample_store import SampleStore
from agent0.evaluation.scorecard import judge_samples, question_scores, score_assignment
from agent0.rollout.backends import weights_dtype
from agent0.storage.digest import code_version

LOGS_FOLDER = "logs"
_PACKAGES = ("vllm", "torch", "transformers")


@dataclass(frozen=True)
class Subject:
    """The model that is evaluated: its name in tables, where it lies, the digest of its files, and its GPUs."""

    name: str
    path: str
    digest: str
    gpus: int = 0


def judge(assignments: Sequence[Assignment], stores: Mapping[str, SampleStore], gpus: int = 0) -> list[Judged]:
    """Score every benchmark, all samples of which are in the stores."""
    judged: list[Judged] = []
    for assignment in assignments:
        store = stores[assignment.benchmark.name]
        outcomes = judge_samples(assignment, store)
        judged.append((assignment, score_assignment(assignment, outcomes, store.seconds, gpus), outcomes))
    return judged


def conclude(
    judged: Sequence[Judged],
    subject: Subject,
    settings: EvaluationSettings,
    rollout: RolloutSettings,
    seed: int,
    started_at: float,
    folder: Path,
) -> EvaluationReport:
    """Write the record of an evaluation to `folder`, with logs if the settings ask for them."""
    report = EvaluationReport(
        name=subject.name,
        model=subject.path,
        revision=subject.digest,
        preset=settings.preset,
        tool=any(assignment.tool for assignment, _, _ in judged),
        seed=seed,
        code_version=code_version(),
        backend=_backend(rollout),
        started_at=started_at,
        finished_at=max(time.time(), started_at),  # the clock may have been set back
        benchmarks=tuple(score for _, score, _ in judged),
    )
    write_results(
        folder,
        report,
        {score.benchmark: question_scores(assignment, outcomes) for assignment, score, outcomes in judged},
    )
    if settings.logs:
        for assignment, score, outcomes in judged:
            write_log(folder / LOGS_FOLDER, subject.name, assignment, score, outcomes)
    return report


def _backend(rollout: RolloutSettings) -> str:
    """Return the engine, and the versions that numbers may depend on."""
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{rollout.backend}, {weights_dtype(rollout)}; {', '.join(versions)}; {machine}"
