"""The gates of task filtering, which keep tasks of the band out: by the evidence for their labels, by what they add.

A gate sees the tasks of the band alone, so what one would leave by itself can be told. All compare within the band and
hold its questions: time and memory grow with the square of their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from agent0.answers import Grader
from agent0.config import FilteringSettings
from agent0.rewards.diversity import novelty
from agent0.rewards.repetition import cluster_labels
from agent0.types import LabelledTask, Vote

UNTRUE, ONE_DERIVATION, UNGROUNDED = "untrue", "one_derivation", "ungrounded"
ILL_POSED, NOT_NEW, CLUSTER_FULL = "ill_posed", "not_new", "cluster_full"
"""Reasons for which a task in the band is not trained on."""


@dataclass(frozen=True)
class Gates:
    """What the gates keep out.

    Attributes:
        reasons: first gate that refuses a task, by the task's id.
        alone: tasks of the band that each gate in use would leave by itself.
        band: tasks that they were given.
    """

    reasons: dict[str, str]
    alone: dict[str, int]
    band: int

    def told(self) -> str:
        """What each gate would leave by itself, as a sentence; empty where none is in use."""
        parts = ", ".join(f"{_SETTINGS[name]} alone {left}" for name, left in self.alone.items())
        return f"Of the {self.band} in the band the gates would leave: {parts}." if parts else ""


_SETTINGS = {
    UNTRUE: "filtering.truth",
    ONE_DERIVATION: "filtering.min_derivations",
    UNGROUNDED: "filtering.min_grounded",
    ILL_POSED: "filtering.well_posed",
    NOT_NEW: "filtering.min_novelty",
    CLUSTER_FULL: "filtering.max_per_cluster",
}


def in_use(filtering: FilteringSettings) -> bool:
    """Whether any gate may keep a task out."""
    return (
        filtering.truth == "refuse"
        or filtering.min_derivations > 1
        or filtering.min_grounded > 0
        or filtering.well_posed
        or filtering.min_novelty > 0
        or filtering.max_per_cluster > 0
    )


def apply_gates(
    pool: Iterable[LabelledTask],
    filtering: FilteringSettings,
    earlier: Sequence[str],
    grader: Grader,
    repetition_distance: float,
    judge_is_trusted: bool = False,
) -> Gates:
    """Return what the gates make of the tasks in the band.

    A task that audits the vote passes through them like any other, so that the audit is of labels that they let pass;
    only its truth is not asked for, since it stands for tasks without one.

    Args:
        pool: tasks in the band, the ones that audit the vote last; read, and held, where a gate is in use.
        filtering: says which gates are in use.
        earlier: questions of all earlier iterations.
        grader: compares labels with the truth.
        repetition_distance: of the clusters; see `cluster_labels`.
        judge_is_trusted: whether what the judge calls ill posed is kept out, where that gate is in use.
    """
    tasks = list(pool) if in_use(filtering) else []
    questions = [task.task.question for task in tasks]
    refused: dict[str, set[int]] = {}
    if filtering.truth == "refuse":
        refused[UNTRUE] = _untrue(tasks, grader)
    if filtering.min_derivations > 1:
        refused[ONE_DERIVATION] = {
            row for row, task in enumerate(tasks) if task.derivations < filtering.min_derivations
        }
    if filtering.min_grounded > 0:
        refused[UNGROUNDED] = {row for row, task in enumerate(tasks) if task.grounded < filtering.min_grounded}
    if filtering.well_posed:
        refused[ILL_POSED] = {row for row, task in enumerate(tasks) if judge_is_trusted and task.well_posed is False}
    if filtering.min_novelty > 0:
        refused[NOT_NEW] = {row for row, new in enumerate(novelty(questions, earlier)) if new < filtering.min_novelty}
    trained = {row for row, task in enumerate(tasks) if task.task.audit_answer is None}
    alone = {name: len(trained - rows) for name, rows in refused.items()}
    reasons = {row: name for name in reversed(refused) for row in refused[name]}
    if filtering.max_per_cluster:
        clusters = [int(label) for label in cluster_labels(questions, repetition_distance)]
        alone[CLUSTER_FULL] = len(trained - _surplus(clusters, range(len(tasks)), filtering.max_per_cluster))
        left = [row for row in range(len(tasks)) if row not in reasons]
        reasons |= dict.fromkeys(_surplus(clusters, left, filtering.max_per_cluster), CLUSTER_FULL)
    return Gates({tasks[row].task.id: name for row, name in reasons.items()}, alone, len(trained))


def labelled_by_truth(task: LabelledTask, grader: Grader) -> LabelledTask:
    """Return a task with the truth in the vote's place, and the answers that are right as its votes.

    One that audits the vote keeps its vote.
    """
    if task.known_answer is None or task.task.audit_answer is not None:
        return task
    verdicts = grader.equivalent_many((task.known_answer, answer) for answer in task.answers)
    count = sum(verdict.correct for verdict in verdicts)
    vote = Vote(answer=task.known_answer, count=count, k=task.vote.k, clusters=task.vote.clusters)
    return task.model_copy(update={"vote": vote})


def _untrue(tasks: Sequence[LabelledTask], grader: Grader) -> set[int]:
    rows = [row for row, task in enumerate(tasks) if task.known_answer and task.task.audit_answer is None]
    verdicts = grader.equivalent_many((tasks[row].known_answer, tasks[row].vote.answer) for row in rows)
    return {row for row, verdict in zip(rows, verdicts, strict=True) if not verdict.correct}


def _surplus(clusters: Sequence[int], rows: Collection[int], most: int) -> set[int]:
    """Return the rows behind the first `most` of each cluster."""
    seen: Counter[int] = Counter()
    surplus = set()
    for row in rows:
        seen[clusters[row]] += 1
        if seen[clusters[row]] > most:
            surplus.add(row)
    return surplus
