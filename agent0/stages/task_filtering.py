"""Stage: keep the tasks at the executor's frontier."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import fmean

from agent0.answers import default_grader
from agent0.answers.audit import audit_labels
from agent0.config import FilteringSettings
from agent0.errors import Agent0Error
from agent0.stages.files import TASKS_FILE
from agent0.stages.session import Stage, StageResult
from agent0.types import LabelledTask, read_records, write_records

AUDIT = "audit"
"""Reason for a task inside the band that is there to audit the vote."""


def run_task_filtering(stage: Stage, *, labelled: Path, output: Path, filtering: FilteringSettings) -> StageResult:
    """Write the tasks inside the band that have a majority answer to `output`.

    Raises:
        Agent0Error: fewer than `min_tasks` are left.
    """
    tasks = read_records(labelled / TASKS_FILE, LabelledTask)
    reasons = {task.task.id: reason_to_drop(task, filtering) for task in tasks}
    kept = [task for task in tasks if reasons[task.task.id] is None]
    counts = dict(Counter(reason for reason in reasons.values() if reason).most_common())
    if len(kept) < filtering.min_tasks:
        raise Agent0Error(_too_few(len(kept), len(tasks), counts, filtering))
    write_records(output / TASKS_FILE, kept)
    grader = default_grader()
    inside = [task for task in tasks if reasons[task.task.id] in (None, AUDIT)]
    labels = audit_labels(inside, grader, accuracy_floor=filtering.label_accuracy_floor)
    everything = audit_labels(tasks, grader, kept=len(kept), yield_floor=filtering.yield_floor)
    metrics = {
        "tasks/kept": float(len(kept)),
        "tasks/kept_share": len(kept) / len(tasks),
        "tasks/kept_self_consistency": fmean(task.vote.self_consistency for task in kept),
        **{f"tasks/{name}": value for name, value in labels.metrics().items() if labels.known and "_p" not in name},
        **{f"labels/{name}": value for name, value in everything.metrics().items() if "_p" in name},
    }
    warnings = (*labels.warnings, *everything.warnings)
    return StageResult(metrics, counts={"filtered": counts}, warnings=warnings)


def reason_to_drop(task: LabelledTask, filtering: FilteringSettings) -> str | None:
    """Return why a task is not trained on, or None if it is kept."""
    if task.vote.answer is None:
        return "no_majority"
    if task.vote.self_consistency < filtering.min_self_consistency:
        return "too_ambiguous"
    if task.vote.self_consistency > filtering.max_self_consistency:
        return "too_easy"
    return AUDIT if task.task.audit_answer is not None else None


def _too_few(kept: int, total: int, counts: dict[str, int], filtering: FilteringSettings) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    return (
        f"Only {kept} of {total} tasks lie in the band {filtering.min_self_consistency} to "
        f"{filtering.max_self_consistency} ({reasons}), fewer than filtering.min_tasks = {filtering.min_tasks}. "
        "Generate more proposals (generation.proposals), widen the band (filtering.min_self_consistency, "
        "filtering.max_self_consistency), or lower filtering.min_tasks."
    )
