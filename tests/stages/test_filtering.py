from __future__ import annotations

from pathlib import Path

import pytest

from agent0.config import FilteringSettings
from agent0.errors import Agent0Error
from agent0.stages import Stage
from agent0.stages.files import TASKS_FOLDER
from agent0.stages.task_filtering import reason_to_drop, run_task_filtering
from agent0.storage.shards import count_records, iterate_records, write_shards
from agent0.types import LabelledTask, Task, Vote


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
    write_shards(tmp_path / "in" / TASKS_FOLDER, tasks, LabelledTask)
    result = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        output=tmp_path / "out",
        filtering=FilteringSettings(min_tasks=3),
    )
    assert [t.task.id for t in iterate_records(LabelledTask, tmp_path / "out" / TASKS_FOLDER)] == ["t1", "t2", "t5"]
    assert result.counts["filtered"] == {"too_easy": 1, "too_ambiguous": 1}
    assert result.metrics["tasks/label_accuracy"] == 0.5
    assert result.metrics["tasks/label_known"] == 2
    assert len(result.warnings) == 1
    assert "pseudo-label accuracy is 0.500" in result.warnings[0]


def test_tasks_that_audit_the_vote_are_never_trained_on(tmp_path: Path) -> None:
    audit = labelled(9, 5, answer="6", known="5")
    audit = audit.model_copy(update={"task": audit.task.model_copy(update={"audit_answer": "5"})})
    tasks = [*(labelled(i, 5, known=None) for i in range(8)), audit]
    write_shards(tmp_path / "in" / TASKS_FOLDER, tasks, LabelledTask)
    result = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        output=tmp_path / "out",
        filtering=FilteringSettings(min_tasks=8),
    )
    assert count_records(LabelledTask, tmp_path / "out" / TASKS_FOLDER) == 8
    assert result.counts["filtered"] == {"audit": 1}
    assert (result.metrics["tasks/label_accuracy"], result.metrics["tasks/label_known"]) == (0.0, 1.0)


def test_too_few_tasks_name_the_settings_to_change(tmp_path: Path) -> None:
    write_shards(tmp_path / "in" / TASKS_FOLDER, [labelled(1, 10)], LabelledTask)
    with pytest.raises(
        Agent0Error, match=r"Only 0 of 1 tasks.*1 too_easy.*generation\.proposals.*filtering\.min_tasks"
    ):
        run_task_filtering(
            Stage.untracked("task_filtering"),
            labelled=tmp_path / "in",
            output=tmp_path / "out",
            filtering=FilteringSettings(),
        )
    assert not (tmp_path / "out" / TASKS_FOLDER).exists()
