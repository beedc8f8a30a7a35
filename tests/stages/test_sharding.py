"""Shards of several pods: together they make what one makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_stages import TINY, SeededBackend, comparable, contents

from agent0.errors import Agent0Error, UsageError
from agent0.stages import Stage, StageResult
from agent0.stages.execution_collection import run_execution_collection
from agent0.stages.sharding import Share
from agent0.stages.stage_files import SAMPLE_FOLDER, TASKS_FOLDER
from agent0.stages.task_collection import run_task_collection
from agent0.storage.shards import iterate_records
from agent0.types import SolvedTask, Task


@pytest.mark.parametrize("pods", [2, 3, 9])
def test_pods_together_generate_what_one_generates(
    pods: int, backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = generate("whole")
    for pod in range(pods):
        generate(f"part{pod}", Share(pod, pods))
    parts = [tmp_path / f"part{pod}" for pod in reversed(range(pods))]
    stage = Stage.untracked("task_collection", seed=5)
    sections = {"rollout": TINY.rollout, "curriculum": TINY.curriculum}
    result = run_task_collection(stage, parts=parts, output=tmp_path / "together", **sections)
    assert comparable(result) == comparable(whole)
    assert contents(tmp_path / "together" / TASKS_FOLDER) == contents(tmp_path / "whole" / TASKS_FOLDER)
    assert result.collected_seconds > 0
    questions = [task.question for task in iterate_records(Task, tmp_path / "together" / TASKS_FOLDER)]
    assert len(set(questions)) == len(questions) > 5
    assert result.counts["rejections"]["duplicate"] > 0


@pytest.mark.usefixtures("one_counter")
@pytest.mark.parametrize("pods", [2, 6])
def test_pods_together_label_what_one_labels(
    pods: int, backend: SeededBackend, execute: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = execute("whole")
    for pod in range(pods):
        execute(f"part{pod}", Share(pod, pods))
    parts = [tmp_path / f"part{pod}" for pod in range(pods)]
    stage = Stage.untracked("execution_collection", seed=5)
    result = run_execution_collection(stage, parts=parts, output=tmp_path / "together")
    assert comparable(result) == comparable(whole)
    assert contents(tmp_path / "together" / TASKS_FOLDER) == contents(tmp_path / "whole" / TASKS_FOLDER)

    def sample(folder: Path) -> list[str]:
        return sorted(item.model_dump_json() for item in iterate_records(SolvedTask, folder / SAMPLE_FOLDER))

    assert sample(tmp_path / "together") == sample(tmp_path / "whole")
    assert len(sample(tmp_path / "whole")) == 9


def test_a_pod_that_is_missing_is_named(
    backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    generate("part0", Share(0, 3))
    generate("part2", Share(2, 3))
    with pytest.raises(Agent0Error, match=r"lacks part-00001\.parquet"):
        run_task_collection(
            Stage.untracked("task_collection"),
            parts=[tmp_path / "part0", tmp_path / "part2"],
            output=tmp_path / "together",
            rollout=TINY.rollout,
            curriculum=TINY.curriculum,
        )


@pytest.mark.parametrize(("pod", "pods"), [(-1, 1), (2, 2), (0, 0)])
def test_a_pod_that_cannot_be_is_refused(pod: int, pods: int) -> None:
    with pytest.raises(UsageError, match="There is no pod"):
        Share(pod, pods)


@pytest.mark.parametrize("pods", [1, 2, 5, 9])
def test_every_row_belongs_to_one_shard_of_one_pod(pods: int) -> None:
    shards = [shard for pod in range(pods) for shard in Share(pod, pods).shards(26, 4).items()]
    assert sorted(number for number, _ in shards) == list(range(7))
    assert [row for _, rows in sorted(shards) for row in rows] == list(range(26))
