"""Execution in shards: killed and resumed it ends the same, and nothing is drawn twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_stages import QUESTIONS, TINY, Killed, SeededBackend, comparable, contents

from agent0.benchmarks.catalogue import known_tasks
from agent0.config import (
    QuestionJudgeSettings,
)
from agent0.stages import StageResult
from agent0.stages.stage_files import TASKS_FOLDER
from agent0.storage.shards import iterate_records, iterate_shard
from agent0.types import LabelledTask


@pytest.mark.usefixtures("one_counter")
@pytest.mark.parametrize("killed_after", [0, 11, 12, 30, 57, 58, 60, 63, 67])
def test_execution_killed_and_resumed_ends_as_if_nothing_had_happened(
    killed_after: int, backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = execute("whole")
    assert len(backend.drawn) == 14 * 4 + 6 * 2
    backend.drawn, backend.killed_after = [], killed_after
    with pytest.raises(Killed):
        execute("killed")
    backend.killed_after = None
    workspace = tmp_path / "killed.workspace"
    voted = sum(1 for path in workspace.glob("votes-*") for _ in iterate_shard(path, LabelledTask))
    probed = [task for path in workspace.glob("probed-*") for task in iterate_shard(path, LabelledTask)]
    rated = sum(task.first_executor_pass_rate is not None for task in probed)
    backend.drawn = []
    resumed = execute("killed")
    assert len(backend.drawn) == 4 * (14 - voted) + 2 * (6 - rated)
    assert comparable(resumed) == comparable(whole)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert contents(tmp_path / "killed-trajectories") == contents(tmp_path / "whole-trajectories")
    backend.drawn = []
    execute("killed")
    assert backend.drawn == []


def test_a_task_that_the_first_executor_has_no_room_for_is_not_put_to_it(
    execute: Callable[..., StageResult], backend: SeededBackend, model_without_weights: Path, tmp_path: Path
) -> None:
    wordy = shutil.copytree(model_without_weights, tmp_path / "wordy")
    template = wordy / "chat_template.jinja"
    template.write_text("{% if '22+3' in (messages | string) %}{{ 'word ' * 300 }}{% endif %}" + template.read_text())
    execute("whole", probe_tasks=len(QUESTIONS))
    execute("wordy", first=wordy, probe_tasks=len(QUESTIONS))
    whole, rated = (
        {
            task.task.question: task.first_executor_pass_rate
            for task in iterate_records(LabelledTask, tmp_path / name / TASKS_FOLDER)
        }
        for name in ("whole", "wordy")
    )
    assert None not in whole.values()
    assert rated == {**whole, "What is 22+3?": None}


def test_known_tasks_that_a_benchmark_makes_audit_the_vote(
    backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    pytest.importorskip("reasoning_gym")
    result = execute("known", known_tasks="gym:small", known_count=3, probe_tasks=99)
    tasks = list(iterate_records(LabelledTask, tmp_path / "known" / TASKS_FOLDER))
    probes = [task for task in tasks if task.task.audit_answer is not None]
    assert [(task.task.id, task.known_answer) for task in probes] == [
        (f"audit-{number:05d}", known.answer) for number, known in enumerate(known_tasks("gym:small", 3))
    ]
    assert len(tasks) == len(QUESTIONS) + 3
    # What is said of the proposals leaves them out.
    assert result.metrics["tasks/probed"] == sum(result.counts["self_consistency"].values()) == len(QUESTIONS)
    assert [task.first_executor_pass_rate for task in probes] == [None] * 3


def test_the_executor_judges_every_question_once_however_often_the_stage_is_killed(
    backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    judging = {
        "question_judge": QuestionJudgeSettings(source="executor", max_tokens=16),
        "rollout": TINY.rollout.model_copy(update={"max_prompt_tokens": 800}),
    }
    execute("whole", **judging)
    asked = [drawn for drawn in backend.drawn if "WELL_POSED" in drawn[0]]
    assert len(asked) == len(QUESTIONS)
    whole = list(iterate_records(LabelledTask, tmp_path / "whole" / TASKS_FOLDER))
    assert {task.well_posed for task in whole} == {True, False, None}
    assert sum(task.first_executor_pass_rate is not None for task in whole) == 6
    backend.drawn, backend.killed_after = [], 14 * 4 + 7  # while it judges
    with pytest.raises(Killed):
        execute("killed", **judging)
    backend.killed_after = None
    again = len(backend.drawn)
    execute("killed", **judging)
    assert len(backend.drawn) - again < 14 + 6 * 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
