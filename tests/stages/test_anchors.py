from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent0.benchmarks.catalogue import generated_items
from agent0.config import AnchorSettings, EvaluationSettings
from agent0.errors import Agent0Error, UsageError
from agent0.stages.anchors import keep_anchors, read_anchors
from agent0.stages.stage_files import ANCHORS_FOLDER
from agent0.storage.shards import iterate_records
from agent0.types import LabelledTask

EVALUATION = EvaluationSettings(benchmarks=("domain:word_problems",), questions_per_level=3)
GIVEN = [{"question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(40)]


def anchors(folder: Path, lines: list[dict[str, str]]) -> AnchorSettings:
    path = folder / "anchors.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return AnchorSettings(file=str(path))


def test_a_share_of_what_is_trained_on_is_given_others_in_each_iteration(tmp_path: Path) -> None:
    given = read_anchors(anchors(tmp_path, GIVEN), EVALUATION)
    kept: dict[int, list[LabelledTask]] = {}
    for iteration in (1, 2):
        output = tmp_path / str(iteration)
        assert keep_anchors(given, 0.05, 95, iteration, iteration, output) == {"tasks/anchors": 5.0}
        kept[iteration] = list(iterate_records(LabelledTask, output / ANCHORS_FOLDER))
    assert all(task.vote.answer == task.known_answer and task.vote.self_consistency == 1 for task in kept[1])
    assert {task.task.question for task in kept[1]} != {task.task.question for task in kept[2]}
    assert keep_anchors(given, 0.01, 8, 1, 1, tmp_path / "few") == {"tasks/anchors": 1.0}
    assert keep_anchors([], 0.01, 8, 1, 1, tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()


def test_a_file_with_a_test_question_is_refused(tmp_path: Path) -> None:
    items = list(generated_items(EVALUATION.benchmarks, EVALUATION.questions_per_level))
    tests = [{"question": f" {item.question.upper()} ", "answer": item.gold} for _, item in items[:2]]
    with pytest.raises(UsageError, match=r"2 of 5 anchors .* line 4 is .* of domain:word_problems"):
        read_anchors(anchors(tmp_path, [*GIVEN[:3], *tests]), EVALUATION)


def test_a_file_that_is_no_file_of_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty"):
        read_anchors(anchors(tmp_path, []), EVALUATION)
    with pytest.raises(Agent0Error, match=r"Line 1 of .* is no KnownTask"):
        read_anchors(anchors(tmp_path, [{"question": "What?"}]), EVALUATION)
    with pytest.raises(Agent0Error, match="There is no KnownTask file"):
        read_anchors(AnchorSettings(file=str(tmp_path / "none.jsonl")), EVALUATION)
    assert read_anchors(AnchorSettings(), EVALUATION) == []
