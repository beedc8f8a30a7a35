from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent0.config import CurriculumSettings, EvaluationSettings, FilteringSettings
from agent0.errors import Agent0Error
from agent0.stages import Stage
from agent0.stages.session import StageResult
from agent0.stages.stage_files import QUESTIONS_FOLDER, TASKS_FOLDER
from agent0.stages.task_filtering import run_task_filtering
from agent0.storage.shards import iterate_records, write_shards
from agent0.types import LabelledTask, Task, Vote

WORDS = ("north", "south", "west")


def labelled(name: str, question: str = "", *, derivations: int = 1, truth: str | None = "5", count: int = 5):
    """A task whose vote is 5, with `count` of ten answers; the others say 6."""
    return LabelledTask(
        task=Task(id=name, iteration=2, question=question or f"What is {name}?"),
        vote=Vote(answer="5", count=count, k=10, clusters=2),
        answers=("5",) * count + ("6",) * (10 - count),
        tool_calls=1.0,
        truncated=0.0,
        derivations=derivations,
        known_answer=truth,
    )


def audit(name: str, truth: str, **more: int) -> LabelledTask:
    task = labelled(name, truth=truth, **more)
    return task.model_copy(update={"task": task.task.model_copy(update={"audit_answer": truth})})


def filtered(
    folder: Path, tasks: Sequence[LabelledTask], earlier: Sequence[str] = (), **filtering: object
) -> tuple[StageResult, list[LabelledTask]]:
    """Run the stage; return its result and what it kept."""
    write_shards(folder / "in" / TASKS_FOLDER, tasks, LabelledTask)
    past = [Task(id=str(number), iteration=1, question=question) for number, question in enumerate(earlier)]
    write_shards(folder / "history" / QUESTIONS_FOLDER, past, Task)
    result = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=folder / "in",
        history=folder / "history",
        output=folder / "out",
        curriculum=CurriculumSettings(),
        filtering=FilteringSettings.model_validate({"min_tasks": 1, "contamination": "off", **filtering}),
        evaluation=EvaluationSettings(),
    )
    return result, list(iterate_records(LabelledTask, folder / "out" / TASKS_FOLDER))


def ids(tasks: Sequence[LabelledTask]) -> list[str]:
    return [task.task.id for task in tasks]


def test_no_gate_is_in_use_unless_it_is_asked_for(tmp_path: Path) -> None:
    tasks = [labelled(name, "What is 2+3?", truth="6") for name in "abc"]
    result, kept = filtered(tmp_path, tasks, ["What is 2+3?"])
    assert ids(kept) == ["a", "b", "c"]
    assert not any(name.endswith("_alone") for name in result.metrics)
    assert result.metrics["tasks/kept_wrong"] == 1


def test_a_label_of_one_derivation_does_not_count_where_two_are_asked_for(tmp_path: Path) -> None:
    tasks = [labelled("a", derivations=1), labelled("b", derivations=2), labelled("c", derivations=3)]
    result, kept = filtered(tmp_path, tasks, min_derivations=2)
    assert ids(kept) == ["b", "c"]
    assert result.counts["filtered"] == {"one_derivation": 1}
    assert result.metrics["tasks/one_derivation_alone"] == 2


def test_a_label_whose_samples_are_not_grounded_does_not_count_where_that_is_asked_for(tmp_path: Path) -> None:
    tasks = [labelled(name).model_copy(update={"grounded": share}) for name, share in (("a", 0.4), ("b", 0.5))]
    result, kept = filtered(tmp_path, tasks, min_grounded=0.5)
    assert ids(kept) == ["b"]
    assert result.counts["filtered"] == {"ungrounded": 1}
    assert result.metrics["tasks/ungrounded_alone"] == 1


def test_a_label_that_the_truth_contradicts_is_refused_and_an_unknown_one_is_not(tmp_path: Path) -> None:
    tasks = [labelled("right"), labelled("wrong", truth="6"), labelled("unknown", truth=None)]
    result, kept = filtered(tmp_path, tasks, truth="refuse")
    assert ids(kept) == ["right", "unknown"]
    assert result.counts["filtered"] == {"untrue": 1}
    assert result.metrics["tasks/kept_wrong"] == 0


def test_the_truth_takes_the_votes_place_where_that_is_asked_for(tmp_path: Path) -> None:
    tasks = [labelled("a", truth="6", count=6), labelled("b", truth="7"), labelled("c", truth=None)]
    _, kept = filtered(tmp_path, tasks, truth="label")
    assert [(task.task.id, task.vote.answer, task.vote.self_consistency) for task in kept] == [
        ("a", "6", 0.4),
        ("c", "5", 0.5),
    ]


@pytest.mark.parametrize("truth", ["refuse", "label"])
def test_a_task_that_audits_the_vote_still_says_how_good_votes_are(truth: str, tmp_path: Path) -> None:
    result, kept = filtered(tmp_path, [labelled("a", truth=None), audit("z", "6")], truth=truth)
    assert ids(kept) == ["a"]
    assert (result.metrics["tasks/label_accuracy"], result.metrics["tasks/label_known"]) == (0, 1)


def test_the_audit_is_of_labels_that_the_gates_let_pass(tmp_path: Path) -> None:
    tasks = [labelled("a", derivations=2), audit("y", "6", derivations=1), audit("z", "5", derivations=2)]
    result, _ = filtered(tmp_path, tasks, min_derivations=2)
    assert (result.metrics["tasks/label_accuracy"], result.metrics["tasks/label_known"]) == (1, 2)


def test_what_repeats_an_earlier_iteration_is_not_new(tmp_path: Path) -> None:
    old = "Tom keeps ten red boats and sells seven"
    tasks = [labelled("same", old), labelled("near", f"{old} blue"), labelled("new", "Mia finds north cats")]
    result, kept = filtered(tmp_path, tasks, [old], min_novelty=0.5)
    assert ids(kept) == ["new"]
    assert result.counts["filtered"] == {"not_new": 2}


def test_nothing_is_old_in_the_first_iteration(tmp_path: Path) -> None:
    _, kept = filtered(tmp_path, [labelled("a"), labelled("b")], min_novelty=1.0)
    assert ids(kept) == ["a", "b"]


def test_of_a_cluster_only_so_many_are_kept_and_refused_tasks_take_no_place(tmp_path: Path) -> None:
    like = "Tom keeps ten red boats and sells seven of them"
    tasks = [
        labelled("refused", f"{like} north", derivations=1),
        *(labelled(f"like{number}", f"{like} {WORDS[number]}", derivations=2) for number in range(3)),
        labelled("other", "Mia finds blue cats", derivations=2),
    ]
    result, kept = filtered(tmp_path, tasks, max_per_cluster=1, min_derivations=2)
    assert ids(kept) == ["like0", "other"]
    assert result.counts["filtered"] == {"cluster_full": 2, "one_derivation": 1}
    assert result.metrics["tasks/cluster_full_alone"] == 2
    assert result.metrics["tasks/one_derivation_alone"] == 4


def test_gates_that_leave_too_few_say_which_and_what_each_would_leave(tmp_path: Path) -> None:
    tasks = [labelled("a", truth="6", derivations=2), labelled("b"), labelled("c", count=9)]
    with pytest.raises(
        Agent0Error,
        match=r"Only 0 of 3 tasks.*pass the gates\. Of the 2 in the band the gates would leave: filtering\.truth alone "
        r"1, filtering\.min_derivations alone 1\.",
    ):
        filtered(tmp_path, tasks, truth="refuse", min_derivations=2)
    assert not (tmp_path / "out" / TASKS_FOLDER).exists()
