"""Stage: keep the tasks at the executor's frontier.

Reads the labelled tasks in several passes instead of holding them; where a gate is in use, it holds those in the band.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent0.answers import Grader, default_grader
from agent0.answers.audit import audit_labels
from agent0.config import (
    CurriculumSettings,
    EvaluationSettings,
    ExecutionSettings,
    ExecutorSettings,
    FilteringSettings,
)
from agent0.errors import Agent0Error
from agent0.stages.anchors import keep_anchors, read_anchors
from agent0.stages.contamination_check import check_contamination, contamination_warnings
from agent0.stages.filter_gates import ONE_DERIVATION, UNGROUNDED, Gates, apply_gates, labelled_by_truth
from agent0.stages.judged_questions import judge_questions
from agent0.stages.mlflow_evidence import TABLE_ROWS, log_tasks, vote_row
from agent0.stages.negatives import keep_negatives
from agent0.stages.open_history import earlier_questions
from agent0.stages.session import Stage, StageResult
from agent0.stages.stage_files import TASKS_FOLDER
from agent0.storage.shards import iterate_records, write_shards
from agent0.types import LabelledTask

AMBIGUOUS = "too_ambiguous"
"""Reason for a task below the band."""
UNTRUSTED = (AMBIGUOUS, ONE_DERIVATION, UNGROUNDED)
"""Reasons that say of a task's label that it is not trusted, and nothing against its question."""
AUDIT = "audit"
"""Reason for a task inside the band that is there to audit the vote."""
CONTAMINATED = "contaminated"
"""Reason for a task inside the band that repeats a test question."""


def run_task_filtering(
    stage: Stage,
    *,
    labelled: Path,
    history: Path,
    output: Path,
    curriculum: CurriculumSettings,
    execution: ExecutionSettings,
    executor: ExecutorSettings,
    filtering: FilteringSettings,
    evaluation: EvaluationSettings,
) -> StageResult:
    """Write the tasks inside the band that have a majority answer and that every gate lets pass to `output`.

    Tasks without a trusted label are kept aside for their refused answers, with `filtering.negative_support`, and given
    examples beside the tasks, with `executor.anchors`.
    Those that repeat test questions, of `evaluation` or of AGENT0_BENCHMARKS, are listed in `output`, and left out or
    refused as `filtering` says. What is new is measured against the questions in `history`.

    Raises:
        UsageError: the given examples cannot be used.
        Agent0Error: fewer than `min_tasks` are left, or a task repeats a test question and that is refused; no task
            is written then.
    """
    grader, given = default_grader(), read_anchors(executor.anchors, evaluation)
    pool = Pool(labelled / TASKS_FOLDER, filtering, grader)
    contamination = check_contamination(pool.tasks({}, (None,)), output, filtering, evaluation)
    refused = dict.fromkeys(contamination.to_drop(filtering), CONTAMINATED)
    questions = judge_questions(pool.votes(), filtering)
    gates = apply_gates(
        pool.tasks(refused, (None, AUDIT)),
        filtering,
        earlier_questions(history),
        grader,
        curriculum.reward.repetition_distance,
        questions.is_trusted,
    )
    refused |= gates.reasons
    counts: Counter[str] = Counter()
    total, kept, self_consistency = 0, 0, 0.0
    rows: list[dict[str, object]] = []
    for task in pool.tasks():
        total += 1
        reason = reason_to_drop(task, filtering, refused)
        if len(rows) < TABLE_ROWS:
            rows.append(vote_row(task, reason))
        if reason:
            counts[reason] += 1
        else:
            kept += 1
            self_consistency += task.vote.self_consistency
    if kept < filtering.min_tasks:
        raise Agent0Error(_too_few(kept, total, counts, filtering, gates))
    write_shards(output / TASKS_FOLDER, pool.tasks(refused, (None,)), LabelledTask)
    log_tasks(stage, "tasks-kept", output / TASKS_FOLDER, kept)
    stage.tracker.log_table(rows, "votes.json")
    labels = audit_labels(pool.tasks(refused, (None, AUDIT)), grader, accuracy_floor=filtering.label_accuracy_floor)
    trained_on = audit_labels(pool.tasks(refused, (None,)), grader).accuracy
    everything = audit_labels(pool.votes(), grader, kept=kept, yield_floor=filtering.yield_floor)
    negatives: dict[str, float] = {}
    if filtering.negative_support:
        untrusted = (task for task in pool.tasks(refused, UNTRUSTED) if task.task.audit_answer is None)
        negatives = keep_negatives(untrusted, filtering.negative_support, grader, output)
    metrics = {
        "tasks/kept": float(kept),
        "tasks/kept_share": kept / total,
        "tasks/kept_self_consistency": self_consistency / kept,
        **{f"tasks/{name}_alone": float(left) for name, left in gates.alone.items()},
        **({f"tasks/{name}": value for name, value in labels.metrics().items()} if labels.known else {}),
        **({"tasks/kept_wrong": 1 - trained_on.value} if trained_on.trials else {}),
        **{f"tasks/{name}": value for name, value in everything.breakdown().items()},
        **negatives,
        **keep_anchors(given, executor.anchors.share, kept, stage.iteration, stage.seed, output),
        **(questions.metrics() if execution.question_judge.source != "off" else {}),
        **contamination.metrics(),
    }
    found = (*labels.warnings, *everything.warnings, *questions.warnings)
    warnings = (*found, *contamination_warnings(contamination, filtering))
    return StageResult(metrics, counts={"filtered": dict(counts.most_common())}, warnings=warnings)


def reason_to_drop(task: LabelledTask, filtering: FilteringSettings, refused: Mapping[str, str]) -> str | None:
    """Return why a task is not trained on, or None if it is kept; `refused` has reasons by id for tasks in the band."""
    if task.vote.answer is None:
        return "no_majority"
    if task.vote.self_consistency < filtering.min_self_consistency:
        return AMBIGUOUS
    if task.vote.self_consistency > filtering.max_self_consistency:
        return "too_easy"
    return refused.get(task.task.id) or (AUDIT if task.task.audit_answer is not None else None)


@dataclass(frozen=True)
class Pool:
    """The labelled tasks of an iteration, read anew by each pass over them."""

    folder: Path
    filtering: FilteringSettings
    grader: Grader

    def votes(self) -> Iterator[LabelledTask]:
        """Read all tasks with the votes on them."""
        return iterate_records(LabelledTask, self.folder)

    def tasks(
        self, refused: Mapping[str, str] | None = None, reasons: Collection[str | None] = ()
    ) -> Iterator[LabelledTask]:
        """Read the tasks with their labels: all, or with `refused` those whose reason to drop is one of `reasons`."""
        for task in self.votes():
            if self.filtering.truth == "label":
                task = labelled_by_truth(task, self.grader)
            if refused is None or reason_to_drop(task, self.filtering, refused) in reasons:
                yield task


def _too_few(kept: int, total: int, counts: Counter[str], filtering: FilteringSettings, gates: Gates) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    gated = f" and pass the gates. {gates.told()}" if gates.alone else "."
    return (
        f"Only {kept} of {total} tasks, fewer than filtering.min_tasks = {filtering.min_tasks}, lie in the band "
        f"{filtering.min_self_consistency} to {filtering.max_self_consistency} ({reasons}){gated} "
        "Generate more proposals (generation.proposals), widen the band (filtering.min_self_consistency, "
        "filtering.max_self_consistency), or lower filtering.min_tasks."
    )
