"""Stage: bring together what the pods of sandboxed execution labelled, and sum it up.

Reads the labelled tasks one by one; the trajectories stay where the pods wrote them, apart from their sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agent0.answers import Verdict, equivalent_many
from agent0.stages.mlflow_evidence import label_row, log_tasks, log_traces
from agent0.stages.session import Stage, StageResult, slowest_part
from agent0.stages.stage_files import SAMPLE_FOLDER, TASKS_FOLDER
from agent0.storage.shards import copy_shard, iterate_records, shard_files, write_shards
from agent0.types import LabelledTask, SolvedTask, Vote

COMPARED_AT_ONCE = 1024


@dataclass
class VoteSummary:
    """Sums over labelled proposals; tasks that audit the vote are labelled beside them, and only counted here."""

    labelled: int = 0
    tasks: int = 0
    self_consistency: float = 0.0
    tool_calls: float = 0.0
    truncated: float = 0.0
    pass_rates: list[float] = field(default_factory=list)
    histogram: dict[str, int] = field(default_factory=dict)

    def add(self, task: LabelledTask) -> None:
        """Count a task."""
        self.labelled += 1
        if task.task.audit_answer is not None:
            return
        vote = task.vote
        if not self.histogram:  # every possible share has its place
            self.histogram = {_share(vote.model_copy(update={"count": count})): 0 for count in range(vote.k + 1)}
        self.histogram[_share(vote)] += 1
        self.tasks += 1
        self.self_consistency += vote.self_consistency
        self.tool_calls += task.tool_calls
        self.truncated += task.truncated
        if task.first_executor_pass_rate is not None:
            self.pass_rates.append(task.first_executor_pass_rate)

    def metrics(self) -> dict[str, float]:
        """Return the means over the tasks."""
        means = {
            "tasks/self_consistency": self.self_consistency / self.tasks,
            "tasks/tool_calls": self.tool_calls / self.tasks,
            "tasks/truncated": self.truncated / self.tasks,
            "tasks/probed": float(len(self.pass_rates)),
        }
        if self.pass_rates:
            means["tasks/first_executor_pass_rate"] = sum(self.pass_rates) / len(self.pass_rates)
        return means


def run_execution_collection(stage: Stage, *, parts: Sequence[Path], output: Path) -> StageResult:
    """Write the labelled tasks and the sample of all pods to `output`.

    Raises:
        Agent0Error: a shard is missing.
    """
    for path in shard_files(LabelledTask, *(part / TASKS_FOLDER for part in parts)):
        copy_shard(path, output / TASKS_FOLDER)
    sample = iterate_records(SolvedTask, *(part / SAMPLE_FOLDER for part in parts))
    write_shards(output / SAMPLE_FOLDER, sample, SolvedTask)
    result = collect_votes(stage, output)
    return StageResult(result.metrics, result.counts, collected_seconds=slowest_part(parts))


def collect_votes(stage: Stage, folder: Path) -> StageResult:
    """Sum up the labelled tasks in `folder`, and log its sample of trajectories as a table, some of it as traces."""
    sample = list(iterate_records(SolvedTask, folder / SAMPLE_FOLDER))
    wanted = {item.task_id for item in sample}
    summary, sampled = VoteSummary(), {}
    for task in iterate_records(LabelledTask, folder / TASKS_FOLDER):
        summary.add(task)
        if task.task.id in wanted:
            sampled[task.task.id] = task
    stage.tracker.log_table([_row(sampled[item.task_id], item) for item in sample], "trajectories.json")
    log_traces(stage, sampled, sample)
    log_tasks(stage, "tasks-labelled", folder / TASKS_FOLDER, summary.labelled)
    metrics = summary.metrics()
    agreement = _agreement(iterate_records(LabelledTask, folder / TASKS_FOLDER))
    if agreement is not None:
        metrics["curriculum/agreement"] = agreement
    return StageResult(metrics, counts={"self_consistency": summary.histogram})


def _agreement(labelled: Iterable[LabelledTask]) -> float | None:
    """Return how often the proposer's own answer is the vote's, or None if it gave no answers."""
    pairs: Iterator[tuple[str | None, str | None]] = (
        (t.vote.answer, t.task.proposer_answer) for t in labelled if t.vote.answer and t.task.proposer_answer
    )
    agreed = compared = 0
    while verdicts := equivalent_many(islice(pairs, COMPARED_AT_ONCE)):
        agreed += sum(verdict is Verdict.TRUE for verdict in verdicts)
        compared += len(verdicts)
    return agreed / compared if compared else None


def _share(vote: Vote) -> str:
    return f"{vote.self_consistency:.3g}"


def _row(task: LabelledTask, item: SolvedTask) -> dict[str, object]:
    """Return a trajectory as a row of a table."""
    made = item.trajectory
    shown = {"answer": made.answer or "", "tool_calls": len(made.tool_calls), "finish": made.finish, "text": made.text}
    return {**label_row(task), **shown}
