from __future__ import annotations

from pathlib import Path

import pytest

from agent0.config import FilteringSettings
from agent0.errors import Agent0Error
from agent0.rollout.agents import Proposal
from agent0.stages import Stage
from agent0.stages.files import TASKS_FILE
from agent0.stages.task_filtering import reason_to_drop, run_task_filtering
from agent0.stages.task_generation import distinct_tasks
from agent0.types import LabelledTask, Task, Trajectory, Vote, read_records, write_records
from agent0.worlds import get_world


def labelled(number: int, count: int, answer: str | None = "5", known: str | None = "5") -> LabelledTask:
    return LabelledTask(
        task=Task(id=f"t{number}", iteration=1, question="What is 2+3?"),
        vote=Vote(answer=answer, count=count, k=10, clusters=1),
        answers=(answer,) * 10,
        tool_calls=0.5,
        truncated=0.0,
        known_answer=known,
    )


@pytest.mark.parametrize(
    ("count", "reason"),
    [(2, "too_ambiguous"), (3, None), (5, None), (8, None), (9, "too_easy"), (10, "too_easy")],
)
def test_the_band_includes_both_ends(count: int, reason: str | None) -> None:
    assert reason_to_drop(labelled(0, count), FilteringSettings()) == reason


def test_a_task_without_an_answer_is_dropped_first() -> None:
    assert reason_to_drop(labelled(0, 0, answer=None), FilteringSettings()) == "no_majority"


def test_kept_tasks_are_written_with_counts_and_an_audit(tmp_path: Path) -> None:
    tasks = [labelled(1, 5), labelled(2, 6, answer="4"), labelled(3, 10), labelled(4, 1), labelled(5, 7, known=None)]
    write_records(tmp_path / "in" / TASKS_FILE, tasks)
    result = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        output=tmp_path / "out",
        filtering=FilteringSettings(min_tasks=3),
    )
    assert [t.task.id for t in read_records(tmp_path / "out" / TASKS_FILE, LabelledTask)] == ["t1", "t2", "t5"]
    assert result.counts["filtered"] == {"too_easy": 1, "too_ambiguous": 1}
    assert result.metrics["tasks/label_accuracy"] == 0.5
    assert result.metrics["tasks/label_known"] == 2
    assert len(result.warnings) == 1
    assert "pseudo-label accuracy is 0.500" in result.warnings[0]


def test_tasks_that_audit_the_vote_are_never_trained_on(tmp_path: Path) -> None:
    audit = labelled(9, 5, answer="6", known="5")
    audit = audit.model_copy(update={"task": audit.task.model_copy(update={"audit_answer": "5"})})
    tasks = [*(labelled(i, 5, known=None) for i in range(8)), audit]
    write_records(tmp_path / "in" / TASKS_FILE, tasks)
    result = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        output=tmp_path / "out",
        filtering=FilteringSettings(min_tasks=8),
    )
    assert len(read_records(tmp_path / "out" / TASKS_FILE, LabelledTask)) == 8
    assert result.counts["filtered"] == {"audit": 1}
    assert (result.metrics["tasks/label_accuracy"], result.metrics["tasks/label_known"]) == (0.0, 1.0)


def test_too_few_tasks_name_the_settings_to_change(tmp_path: Path) -> None:
    write_records(tmp_path / "in" / TASKS_FILE, [labelled(1, 10)])
    with pytest.raises(
        Agent0Error, match=r"Only 0 of 1 tasks.*1 too_easy.*generation\.proposals.*filtering\.min_tasks"
    ):
        run_task_filtering(
            Stage.untracked("task_filtering"),
            labelled=tmp_path / "in",
            output=tmp_path / "out",
            filtering=FilteringSettings(),
        )
    assert not (tmp_path / "out" / TASKS_FILE).exists()


def test_duplicates_and_reserved_questions_are_no_tasks() -> None:
    def proposed(question: str | None) -> Proposal:
        trajectory = Trajectory(prompt_ids=(1,), completion_ids=(2,), mask=(1,), text="", finish="eos", answer="7")
        return Proposal(trajectory, question, None if question else "no_question")

    reserved = "Compute (12+3)*45."
    proposals = [proposed(q) for q in ("What is 3+4?", None, "What is 3+4?", reserved, "What is 3+5?")]
    tasks, dropped = distinct_tasks(proposals, 2, get_world("arithmetic"))
    assert [(t.id, t.question, t.proposer_answer) for t in tasks] == [
        ("i2-00000", "What is 3+4?", "7"),
        ("i2-00001", "What is 3+5?", "7"),
    ]
    assert dropped == {"duplicate": 1, "held_out": 1}
