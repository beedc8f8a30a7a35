from __future__ import annotations

from pathlib import Path

import pytest

from agent0.errors import Agent0Error
from agent0.types import KnownTask, LabelledTask, Task, ToolCall, Trajectory, Vote, read_records

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


def test_self_consistency_counts_missing_answers() -> None:
    assert LABELLED.vote.self_consistency == 0.6


def test_running_out_of_budget_is_truncation() -> None:
    assert not TRAJECTORY.truncated
    assert TRAJECTORY.model_copy(update={"finish": "turns"}).truncated


def test_known_tasks_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "known.jsonl"
    path.write_text('{"question": "What is 2+3?", "answer": "5"}\n{"question": "Wie viel ist √4?", "answer": "2"}\n')
    assert [known.answer for known in read_records(path, KnownTask)] == ["5", "2"]


def test_a_missing_file_and_a_foreign_line_are_explained(tmp_path: Path) -> None:
    with pytest.raises(Agent0Error, match=r"no KnownTask file at .*none\.jsonl"):
        read_records(tmp_path / "none.jsonl", KnownTask)
    path = tmp_path / "foreign.jsonl"
    path.write_text('{"id": "x"}\n')
    with pytest.raises(Agent0Error, match=r"Line 1.*fields question, answer"):
        read_records(path, KnownTask)
