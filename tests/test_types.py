from __future__ import annotations

from pathlib import Path

import pytest

from agent0.errors import Agent0Error
from agent0.types import LabelledTask, Record, SolvedTask, Task, ToolCall, Trajectory, Vote, read_records, write_records

TASK = Task(id="i1-00000", iteration=1, question="What is 2+3?", proposer_answer="5", proposer_tool_calls=1)
LABELLED = LabelledTask(
    task=TASK,
    vote=Vote(answer="5", count=6, k=10, clusters=3),
    answers=("5", None, "6"),
    tool_calls=0.7,
    truncated=0.1,
    known_answer="5",
)
TRAJECTORY = Trajectory(
    prompt_ids=(1, 2),
    completion_ids=(3, 4, 5),
    mask=(1, 0, 1),
    logprobs=(-0.5, 0.0, -0.25),
    text="```python\nprint(2+3)\n```\n\x00 ünï\u2028code",
    tool_calls=(ToolCall(code="print(2+3)", observation="5\n", status="ok"),),
    finish="eos",
    answer="5",
)


@pytest.mark.parametrize("record", [TASK, LABELLED, SolvedTask(task_id="a", trajectory=TRAJECTORY)])
def test_a_record_survives_being_written_and_read(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    write_records(path, [record, record])
    assert read_records(path, type(record)) == [record, record]


def test_self_consistency_counts_missing_answers() -> None:
    assert LABELLED.vote.self_consistency == 0.6


def test_running_out_of_budget_is_truncation() -> None:
    assert not TRAJECTORY.truncated
    assert TRAJECTORY.model_copy(update={"finish": "turns"}).truncated


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    write_records(path, [TASK])

    def broken() -> object:
        yield TASK
        raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError, match="disk gone"):
        write_records(path, broken())  # type: ignore[arg-type]
    assert read_records(path, Task) == [TASK]
    assert [p.name for p in tmp_path.iterdir()] == ["tasks.jsonl"]


def test_a_missing_file_and_a_foreign_line_are_explained(tmp_path: Path) -> None:
    with pytest.raises(Agent0Error, match="run the stage that writes it"):
        read_records(tmp_path / "none.jsonl", Task)
    path = tmp_path / "foreign.jsonl"
    path.write_text('{"id": "x"}\n')
    with pytest.raises(Agent0Error, match="Line 1"):
        read_records(path, Task)
