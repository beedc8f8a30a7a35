"""Stage: keep the tasks at the executor's frontier.

Reads the labelled tasks in several passes instead of holding them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from agent0.answers import default_grader
from agent0.answers.audit import audit_labels
from agent0.config import EvaluationSettings, FilteringSettings
from agent0.errors import Agent0Error
from agent0.stages.contamination_check import check_contamination, contamination_warnings
from agent0.stages.files import TASKS_FOLDER
from agent0.stages.mlflow_evidence import TABLE_ROWS, log_tasks, vote_row
from agent0.stages.session import Stage, StageResult
from agent0.storage.shards import iterate_records, write_shards
from agent0.types import LabelledTask

AUDIT = "audit"
"""Reason for a task inside the band that is there to audit the vote."""
CONTAMINATED = "contaminated"
"""Reason for a task inside the band that repeats a test question."""


def run_task_filtering(
    stage: Stage, *, labelled: Path, output: Path, filtering: FilteringSettings, evaluation: EvaluationSettings
) -> StageResult:
    """Write the tasks inside the band that have a majority answer to `output`.

    Those that repeat test questions, of `evaluation` or of AGENT0_BENCHMARKS, are listed in `output`, and left out or
    refused as `filtering` says.

    Raises:
        Agent0Error: fewer than `min_tasks` are left, or a task repeats a test question and that is refused; no task
            is written then.
    """
    contamination = check_contamination(_tasks(labelled, filtering, (None,)), output, filtering, evaluation)
    contaminated = contamination.to_drop(filtering)
    counts: Counter[str] = Counter()
    total, kept, self_consistency = 0, 0, 0.0
    rows: list[dict[str, object]] = []
    for task in _tasks(labelled):
        total += 1
        reason = reason_to_drop(task, filtering, contaminated)
        if len(rows) < TABLE_ROWS:
            rows.append(vote_row(task, reason))
        if reason:
            counts[reason] += 1
        else:
            kept += 1
            self_consistency += task.vote.self_consistency
    if kept < filtering.min_tasks:
        raise Agent0Error(_too_few(kept, total, counts, filtering))
    write_shards(output / TASKS_FOLDER, _tasks(labelled, filtering, (None,), contaminated), LabelledTask)
    log_tasks(stage, "tasks-kept", output / TASKS_FOLDER, kept)
    stage.tracker.log_table(rows, "votes.json")
    grader = default_grader()
    inside = _tasks(labelled, filtering, (None, AUDIT), contaminated)
    labels = audit_labels(inside, grader, accuracy_floor=filtering.label_accuracy_floor)
    everything = audit_labels(_tasks(labelled), grader, kept=kept, yield_floor=filtering.yield_floor)
    metrics = {
        "tasks/kept": float(kept),
        "tasks/kept_share": kept / total,
        "tasks/kept_self_consistency": self_consistency / kept,
        **{f"tasks/{name}": value for name, value in labels.metrics().items() if labels.known and "_p" not in name},
        **{f"tasks/{name}": value for name, value in everything.metrics().items() if "_p" in name},
        **contamination.metrics(),
    }
    warnings = (*labels.warnings, *everything.warnings, *contamination_warnings(contamination, filtering))
    return StageResult(metrics, counts={"filtered": dict(counts.most_common())}, warnings=warnings)


def reason_to_drop(task: LabelledTask, filtering: FilteringSettings, contaminated: Collection[str] = ()) -> str | None:
    """Return why a task is not trained on, or None if it is kept; `contaminated` are ids that must go."""
    if task.vote.answer is None:
        return "no_majority"
    if task.vote.self_consistency < filtering.min_self_consistency:
        return "too_ambiguous"
    if task.vote.self_consistency > filtering.max_self_consistency:
        return "too_easy"
    if task.task.id in contaminated:
        return CONTAMINATED
    return AUDIT if task.task.audit_answer is not None else None


def _tasks(
    folder: Path,
    filtering: FilteringSettings | None = None,
    reasons: Collection[str | None] = (),
    contaminated: Collection[str] = (),
) -> Iterator[LabelledTask]:
    """Read the labelled tasks anew: all, or with `filtering` those whose reason to drop is one of `reasons`."""
    for task in iterate_records(LabelledTask, folder / TASKS_FOLDER):
        if filtering is None or reason_to_drop(task, filtering, contaminated) in reasons:
            yield task


def _too_few(kept: int, total: int, counts: Counter[str], filtering: FilteringSettings) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return (
        f"Only {kept} of {total} tasks lie in the band {filtering.min_self_consistency} to "
        f"{filtering.max_self_consistency} ({reasons}), fewer than filtering.min_tasks = {filtering.min_tasks}. "
        "Generate more proposals (generation.proposals), widen the band (filtering.min_self_consistency, "
        "filtering.max_self_consistency), or lower filtering.min_tasks."
    )
