"""Generation in shards: killed and resumed it ends the same, and nothing is drawn twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_stages import Killed, SeededBackend, comparable, contents

from agent0.config import (
    ConditioningSettings,
)
from agent0.errors import Agent0Error
from agent0.stages import StageResult
from agent0.stages.sharding import Share
from agent0.stages.stage_files import PROPOSALS_FOLDER, TASKS_FOLDER
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import STAGE_FILE
from agent0.storage.shards import iterate_records, shard_name, write_shard
from agent0.types import ProposalOutcome, StageReport, Task


def tasks_of(folder: Path) -> list[str]:
    return [task.question for task in iterate_records(Task, folder / TASKS_FOLDER)]


def test_too_few_tasks_make_the_generation_draw_on_up_to_its_bound(
    generate: Callable[..., StageResult], backend: SeededBackend, tmp_path: Path
) -> None:
    """The script knows fifteen questions."""
    generate("plain", proposals=6)
    enough = generate("enough", proposals=6, least_tasks=1, max_proposals=300)
    assert enough.metrics["tasks/generated"] == 6
    on = generate("on", proposals=6, least_tasks=12, max_proposals=300)
    assert 6 < on.metrics["tasks/generated"] < 300
    assert len(tasks_of(tmp_path / "on")) >= 12
    assert tasks_of(tmp_path / "on")[: len(tasks_of(tmp_path / "plain"))] == tasks_of(tmp_path / "plain")
    bound = generate("bound", proposals=6, least_tasks=16, max_proposals=31)
    assert bound.metrics["tasks/generated"] == 31


def test_a_generation_that_is_killed_while_it_draws_on_ends_the_same(
    generate: Callable[..., StageResult], backend: SeededBackend, tmp_path: Path
) -> None:
    wanted = {"proposals": 6, "least_tasks": 12, "max_proposals": 300}
    generate("whole", **wanted)
    backend.drawn.clear()
    backend.killed_after = 11
    with pytest.raises(Killed):
        generate("killed", **wanted)
    backend.killed_after = None
    generate("killed", **wanted)
    assert tasks_of(tmp_path / "killed") == tasks_of(tmp_path / "whole")


@pytest.mark.parametrize("killed_after", [0, 3, 4, 9, 25])
def test_generation_killed_and_resumed_ends_as_if_nothing_had_happened(
    killed_after: int, backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    whole = generate("whole")
    expected, backend.drawn = sorted(backend.drawn), []
    backend.killed_after = killed_after
    with pytest.raises(Killed):
        generate("killed")
    backend.killed_after = None
    finished = len(list((tmp_path / "killed.workspace").glob("proposals-*.parquet")))
    assert finished <= killed_after // 4
    assert backend.concurrency or finished == killed_after // 4
    backend.drawn = []
    resumed = generate("killed")
    assert comparable(resumed) == comparable(whole)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(backend.drawn) == 26 - 4 * finished  # nothing that was finished is drawn again
    assert set(backend.drawn) <= set(expected)
    backend.drawn = []
    generate("killed")
    assert backend.drawn == []


def test_topics_are_asked_for_by_what_they_earned_and_kept_with_the_tasks_whatever_the_pods(
    model_without_weights: Path, backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    log = ({"topic_reward/2x1": 0.9}, {"topic_reward/3x2": 0.3}, {"topic_reward/5x3": 0.0})
    report = StageReport(stage="curriculum_training", iteration=1, seconds=1.0, peak_memory_mb=1.0, metrics={}, log=log)
    write_json(model_without_weights / STAGE_FILE, report.model_dump())
    earned = ConditioningSettings(topics="earned", exploration=0.0)
    generate("whole", conditioning=earned)
    outcomes = list(iterate_records(ProposalOutcome, tmp_path / "whole" / PROPOSALS_FOLDER))
    asked = Counter(outcome.topic for outcome in outcomes)
    assert set(asked) == {"2x1", "3x2"}
    assert asked["2x1"] > asked["3x2"]
    assert Counter(prompt for prompt, _ in backend.drawn if "propose 2x1" in prompt).total() == asked["2x1"]
    topics = {outcome.question: outcome.topic for outcome in reversed(outcomes) if outcome.question}
    tasks = list(iterate_records(Task, tmp_path / "whole" / TASKS_FOLDER))
    assert {task.question: task.topic for task in tasks} == {task.question: topics[task.question] for task in tasks}
    for pod in range(2):
        generate(f"part{pod}", Share(pod, 2), conditioning=earned)
    parts = [tmp_path / f"part{pod}" / PROPOSALS_FOLDER for pod in range(2)]
    assert list(iterate_records(ProposalOutcome, *parts)) == outcomes


def test_a_shard_of_another_version_in_the_workspace_is_an_error(
    backend: SeededBackend, generate: Callable[..., StageResult], tmp_path: Path
) -> None:
    generate("out")
    path = tmp_path / "out.workspace" / f"proposals-{shard_name(2)}"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Agent0Error, match=rf"{path.name} is no whole Parquet file of ProposalOutcome .*remove it"):
        generate("out")
    write_shard(path, [Task(id="a", iteration=1, question="b")], Task)
    with pytest.raises(Agent0Error, match=rf"{path.name} is no shard of ProposalOutcome records.*another version"):
        generate("out")


def test_no_valid_proposal_says_which_reasons(
    backend: SeededBackend, generate: Callable[..., StageResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent0.rollout.agents.parse_question", lambda _: None)
    with pytest.raises(Agent0Error, match=r"None of 26 proposals is a valid question \(26 no_question\)"):
        generate("out")
