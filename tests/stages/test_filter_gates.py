from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent0.config import (
    CurriculumSettings,
    EvaluationSettings,
    ExecutionSettings,
    ExecutorSettings,
    FilteringSettings,
    QuestionJudgeSettings,
)
from agent0.errors import Agent0Error
from agent0.stages import Stage
from agent0.stages.session import StageResult
from agent0.stages.stage_files import NEGATIVES_FOLDER, QUESTIONS_FOLDER, TASKS_FOLDER
from agent0.stages.task_filtering import run_task_filtering
from agent0.storage.shards import iterate_records, write_shards
from agent0.types import LabelledTask, Task, Vote

NO_JUDGE = QuestionJudgeSettings()
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
    folder: Path,
    tasks: Sequence[LabelledTask],
    earlier: Sequence[str] = (),
    judge: QuestionJudgeSettings = NO_JUDGE,
    **filtering: object,
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
        execution=ExecutionSettings(question_judge=judge),
        executor=ExecutorSettings(),
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


def test_a_task_without_a_trusted_label_is_kept_for_the_answers_that_its_vote_refuses(tmp_path: Path) -> None:
    scattered = labelled("north", count=2)
    scattered = scattered.model_copy(update={"answers": ("5", "5", *map(str, range(10, 17)), None)})
    doubted = labelled("south", derivations=1, count=5)
    doubted = doubted.model_copy(update={"answers": ("5",) * 5 + ("6",) * 4 + ("7",)})
    split = labelled("west", derivations=1, count=5)  # five say 5, five say 6: nothing is refused
    trusted = labelled("1+1", derivations=2)
    tasks = [scattered, doubted, split, trusted, audit("2+2", "5", count=2)]
    result, kept = filtered(tmp_path, tasks, min_derivations=2, negative_support=0.1)
    assert ids(kept) == ["1+1"]
    negatives = {task.task.id: task for task in iterate_records(LabelledTask, tmp_path / "out" / NEGATIVES_FOLDER)}
    assert {name: task.tenable for name, task in negatives.items()} == {"north": ("5",), "south": ("5", "6")}
    assert result.metrics["tasks/negative"] == 2
    assert result.metrics["tasks/refused_right"] == 0.0


def test_how_often_a_refused_answer_is_right_is_measured(tmp_path: Path) -> None:
    task = labelled("north", truth="7", count=5)
    task = task.model_copy(update={"answers": ("5",) * 5 + ("6",) * 3 + ("7", "8")})
    result, _ = filtered(tmp_path, [task, labelled("1+1", derivations=2)], min_derivations=2, negative_support=0.1)
    assert result.metrics["tasks/refused_right"] == pytest.approx(0.5)


def probes(right: int, wrong: int) -> list[LabelledTask]:
    """Known tasks, of which the judge was right about so many, in both forms, and wrong about the others."""
    verdicts = [True] * right + [False] * wrong
    return [
        audit(f"1+{number}", "5").model_copy(update={"well_posed": verdict, "spoiled_well_posed": not verdict})
        for number, verdict in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "kept"), [(9, 1, ["north", "west"]), (1, 1, ["north", "south", "west"]), (0, 0, None)]
)
def test_what_the_judge_calls_ill_posed_is_kept_out_where_the_judge_is_right_about_the_probes(
    right: int, wrong: int, kept: list[str] | None, tmp_path: Path
) -> None:
    said = {"north": True, "south": False, "west": None}
    tasks = [labelled(name).model_copy(update={"well_posed": verdict}) for name, verdict in said.items()]
    judge = QuestionJudgeSettings(source="executor")
    result, left = filtered(tmp_path, [*tasks, *probes(right, wrong)], judge=judge, well_posed=True)
    assert ids(left) == (kept or list(said))
    assert (result.metrics["tasks/judge_silent"], result.metrics["tasks/judged_ill"]) == (1.0, 0.5)
    if kept is None:
        assert "the judge gave no verdict on them" in result.warnings[-1]
        assert "tasks/judge_agreement" not in result.metrics
    else:
        assert result.metrics["tasks/judge_agreement"] == pytest.approx(right / (right + wrong))
    if (right, wrong) == (1, 1):
        assert "was right about 50% of them, and filtering.min_judge_agreement is 0.7" in result.warnings[-1]
        assert result.metrics["tasks/ill_posed_alone"] == 3


def test_verdicts_are_counted_where_no_gate_acts_on_them(tmp_path: Path) -> None:
    task = labelled("north").model_copy(update={"well_posed": False})
    result, left = filtered(tmp_path, [task, *probes(3, 1)], judge=QuestionJudgeSettings(source="executor"))
    assert ids(left) == ["north"]
    assert result.metrics["tasks/judge_agreement"] == pytest.approx(0.75)
    assert result.metrics["tasks/label_accuracy_judged_ill"] == pytest.approx(1.0)
    assert result.warnings == ()
