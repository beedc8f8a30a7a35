"""What is made of all proposals, and how their repetition is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent0.config import CurriculumSettings, RewardSettings, RolloutSettings
from agent0.stages import Stage, StageResult, task_collection
from agent0.stages.stage_files import PROPOSALS_FOLDER
from agent0.storage.shards import write_shards
from agent0.types import ProposalOutcome

QUESTIONS = ["How many red apples has Ann left", "How many red apples has Tom left", "Is seven a prime number"]


def collected(folder: Path, distance: float) -> StageResult:
    outcomes = [ProposalOutcome(question=text, rejection=None, answer=None, tool_calls=0) for text in QUESTIONS]
    write_shards(folder / PROPOSALS_FOLDER, outcomes, ProposalOutcome)
    settings = CurriculumSettings(reward=RewardSettings(repetition_distance=distance))
    stage = Stage.untracked("task_collection")
    return task_collection.collect_tasks(stage, [folder], folder, RolloutSettings(), settings)


@pytest.mark.parametrize(("distance", "share"), [(0.9, 5 / 9), (0.05, 1 / 3)])
def test_repetition_is_measured_as_the_run_rewards_it(tmp_path: Path, distance: float, share: float) -> None:
    metrics = collected(tmp_path, distance).metrics
    assert metrics["tasks/repetition"] == pytest.approx(share)
    assert metrics["tasks/repetition_questions"] == 3


def test_many_questions_are_measured_by_a_sample_that_says_how_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_collection, "REPETITION_SAMPLE", 2)
    metrics = collected(tmp_path, 0.9).metrics
    assert metrics["tasks/repetition_questions"] == 2
    assert metrics["tasks/repetition"] in (0.5, 1.0)
    assert metrics["tasks/valid"] == 3
