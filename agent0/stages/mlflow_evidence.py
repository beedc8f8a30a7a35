"""What a reviewer reads in MLflow beside the numbers: the data of a round, its votes, and some trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent0.answers import Verdict, equivalent_many
from agent0.stages.session import Stage
from agent0.storage.digest import folder_digest
from agent0.tracking import TrackedDataset
from agent0.tracking.traces import trajectory_trace
from agent0.types import LabelledTask, SolvedTask

TRACED_TRAJECTORIES = 8
"""Of each sandboxed execution; each costs MLflow two requests."""
TABLE_ROWS = 500


def log_tasks(stage: Stage, name: str, folder: Path, records: int, context: str = "output") -> None:
    """Note the tasks in `folder`, by their digest, as a dataset that the stage made, or used for `context`."""
    dataset = TrackedDataset(name, folder_digest(folder), context, str(folder), {"records": float(records)})
    stage.tracker.log_dataset(dataset)


def label_row(task: LabelledTask) -> dict[str, object]:
    """Return a task and its label as the beginning of a row of a table."""
    return {
        "task": task.task.id,
        "question": task.task.question,
        "pseudo_label": task.vote.answer or "",
        "self_consistency": task.vote.self_consistency,
        "known_answer": task.known_answer or "",
    }


def vote_row(task: LabelledTask, reason: str | None) -> dict[str, object]:
    """Return a task, the vote on it and what became of it as a row of a table."""
    answers = ", ".join(answer or "–" for answer in task.answers)
    votes = {"votes": task.vote.count, "samples": task.vote.k}
    return {**label_row(task), **votes, "outcome": reason or "kept", "answers": answers}


def log_traces(stage: Stage, labelled: Mapping[str, LabelledTask], sample: Sequence[SolvedTask]) -> None:
    """Keep some of a sample of trajectories as traces, each with the verdict of the vote and of the known answer."""
    traced = sample[:TRACED_TRAJECTORIES]
    votes = [labelled[item.task_id].vote for item in traced]
    known = [labelled[item.task_id].known_answer for item in traced]
    answers = [item.trajectory.answer for item in traced]
    by_vote = equivalent_many([(vote.answer, answer) for vote, answer in zip(votes, answers, strict=True)])
    by_truth = equivalent_many(list(zip(known, answers, strict=True)))
    for number, item in enumerate(traced):
        vote, share = votes[number], f"{votes[number].count} of {votes[number].k} answers"
        verdicts = {"vote": (by_vote[number] is Verdict.TRUE, f"The vote is {vote.answer}, by {share}.")}
        if known[number] is not None:
            verdicts["known_answer"] = (by_truth[number] is Verdict.TRUE, f"The known answer is {known[number]}.")
        stage.tracker.log_trace(
            trajectory_trace(
                f"{stage.evolution_id}/{stage.iteration}/{item.task_id}/{number}",
                labelled[item.task_id].task.question,
                item.trajectory,
                verdicts,
                {"agent0.task": item.task_id, "agent0.iteration": str(stage.iteration)},
            )
        )
