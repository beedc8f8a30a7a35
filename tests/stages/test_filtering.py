from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent0.benchmarks.catalogue import generated_items
from agent0.config import CurriculumSettings, EvaluationSettings, ExecutionSettings, ExecutorSettings, FilteringSettings
from agent0.errors import Agent0Error, UsageError
from agent0.stages import Stage
from agent0.stages.contamination_check import CONTAMINATION_FILE
from agent0.stages.session import StageResult
from agent0.stages.stage_files import TASKS_FOLDER
from agent0.stages.task_filtering import reason_to_drop, run_task_filtering
from agent0.storage.shards import count_records, iterate_records, write_shards
from agent0.types import LabelledTask, Task, Vote

PUBLISHED = EvaluationSettings(benchmarks=("gsm8k",))


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
    assert reason_to_drop(labelled(0, count), FilteringSettings(), {}) == reason


def test_a_task_without_an_answer_is_dropped_first() -> None:
    assert reason_to_drop(labelled(0, 0, answer=None), FilteringSettings(), {}) == "no_majority"


def test_kept_tasks_are_written_with_counts_and_an_audit(tmp_path: Path) -> None:
    tasks = [labelled(1, 5), labelled(2, 6, answer="4"), labelled(3, 10), labelled(4, 1), labelled(5, 7, known=None)]
    write_shards(tmp_path / "in" / TASKS_FOLDER, tasks, LabelledTask)
    result = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        history=tmp_path / "history",
        output=tmp_path / "out",
        curriculum=CurriculumSettings(),
        execution=ExecutionSettings(),
        executor=ExecutorSettings(),
        filtering=FilteringSettings(min_tasks=3),
        evaluation=PUBLISHED,
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
        history=tmp_path / "history",
        output=tmp_path / "out",
        curriculum=CurriculumSettings(),
        execution=ExecutionSettings(),
        executor=ExecutorSettings(),
        filtering=FilteringSettings(min_tasks=8),
        evaluation=PUBLISHED,
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
            history=tmp_path / "history",
            output=tmp_path / "out",
            curriculum=CurriculumSettings(),
            execution=ExecutionSettings(),
            executor=ExecutorSettings(),
            filtering=FilteringSettings(),
            evaluation=PUBLISHED,
        )
    assert not (tmp_path / "out" / TASKS_FOLDER).exists()


TEST_QUESTION = "How many ways are there to seat five people around a circular table with six chairs?"


def contaminated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, **settings: float) -> StageResult:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "gsm8k.jsonl").write_text(
        json.dumps({"question": TEST_QUESTION, "answer": "so\n#### 120"}) + "\n"
    )
    monkeypatch.setenv("AGENT0_BENCHMARKS", str(tmp_path / "tests"))
    tasks = [labelled(number, 5) for number in range(4)]
    repeated = tasks[2].task.model_copy(update={"question": f"Find it: {TEST_QUESTION}"})
    tasks[2] = tasks[2].model_copy(update={"task": repeated})
    write_shards(tmp_path / "in" / TASKS_FOLDER, tasks, LabelledTask)
    return run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        history=tmp_path / "history",
        output=tmp_path / "out",
        curriculum=CurriculumSettings(),
        execution=ExecutionSettings(),
        executor=ExecutorSettings(),
        filtering=FilteringSettings.model_validate({"min_tasks": 1, "contamination": mode, **settings}),
        evaluation=PUBLISHED,
    )


def kept_ids(tmp_path: Path) -> list[str]:
    return [task.task.id for task in iterate_records(LabelledTask, tmp_path / "out" / TASKS_FOLDER)]


def test_a_task_that_repeats_a_test_question_is_warned_of_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = contaminated(tmp_path, monkeypatch, "warn")
    assert kept_ids(tmp_path) == ["t0", "t1", "t2", "t3"]
    assert "1 of 4 kept tasks share words with test questions; the closest, t2" in result.warnings[-1]
    match = json.loads((tmp_path / "out" / CONTAMINATION_FILE).read_text())
    assert (match["task_id"], match["benchmark"], match["kind"]) == ("t2", "gsm8k", "near")
    assert "seat five people" in match["shared"]
    assert result.metrics["tasks/contamination_near"] == 1
    assert result.metrics["tasks/contamination_test_questions"] == 1


def test_a_task_that_repeats_a_test_question_is_dropped_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = contaminated(tmp_path, monkeypatch, "drop")
    assert kept_ids(tmp_path) == ["t0", "t1", "t3"]
    assert result.counts["filtered"] == {"contaminated": 1}
    assert result.metrics["tasks/kept"] == 3
    assert not any("test questions" in warning for warning in result.warnings)


def test_a_task_that_repeats_a_test_question_stops_the_run_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Agent0Error, match=r"contamination=drop"):
        contaminated(tmp_path, monkeypatch, "refuse")
    assert not (tmp_path / "out" / TASKS_FOLDER).exists()
    assert (tmp_path / "out" / CONTAMINATION_FILE).exists()


def test_nothing_is_compared_where_that_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = contaminated(tmp_path, monkeypatch, "off")
    assert result.metrics["tasks/contamination_test_questions"] == 0
    assert kept_ids(tmp_path) == ["t0", "t1", "t2", "t3"]


def test_without_test_sets_a_metric_says_so_and_nothing_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENT0_BENCHMARKS", raising=False)
    write_shards(tmp_path / "in" / TASKS_FOLDER, [labelled(1, 5)], LabelledTask)
    result = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        history=tmp_path / "history",
        output=tmp_path / "out",
        curriculum=CurriculumSettings(),
        execution=ExecutionSettings(),
        executor=ExecutorSettings(),
        filtering=FilteringSettings(min_tasks=1),
        evaluation=PUBLISHED,
    )
    measured = {name: value for name, value in result.metrics.items() if "contamination" in name}
    assert measured == {"tasks/contamination_test_questions": 0}
    assert result.warnings == ()


@pytest.mark.parametrize("mode", ["drop", "refuse"])
def test_whoever_asks_for_clean_tasks_needs_test_sets(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGENT0_BENCHMARKS", raising=False)
    write_shards(tmp_path / "in" / TASKS_FOLDER, [labelled(1, 5)], LabelledTask)
    with pytest.raises(UsageError, match=f"contamination={mode} needs test questions"):
        run_task_filtering(
            Stage.untracked("task_filtering"),
            labelled=tmp_path / "in",
            history=tmp_path / "history",
            output=tmp_path / "out",
            curriculum=CurriculumSettings(),
            execution=ExecutionSettings(),
            executor=ExecutorSettings(),
            filtering=FilteringSettings.model_validate({"min_tasks": 1, "contamination": mode}),
            evaluation=PUBLISHED,
        )


def filtered(tmp_path: Path, question: str, mode: str, evaluation: EvaluationSettings) -> StageResult:
    repeated = labelled(1, 5)
    repeated = repeated.model_copy(update={"task": repeated.task.model_copy(update={"question": question})})
    write_shards(tmp_path / "in" / TASKS_FOLDER, [labelled(0, 5), repeated], LabelledTask)
    return run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=tmp_path / "in",
        history=tmp_path / "history",
        output=tmp_path / "out",
        curriculum=CurriculumSettings(),
        execution=ExecutionSettings(),
        executor=ExecutorSettings(),
        filtering=FilteringSettings.model_validate({"min_tasks": 1, "contamination": mode}),
        evaluation=evaluation,
    )


@pytest.mark.parametrize("name", ["gym:small", "gym:leg_counting"])
@pytest.mark.parametrize("mode", ["warn", "drop"])
def test_no_task_is_trained_on_that_the_run_is_evaluated_on(
    name: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("reasoning_gym")
    monkeypatch.delenv("AGENT0_BENCHMARKS", raising=False)
    evaluation = EvaluationSettings(benchmarks=("tiny", name), questions_per_level=3)
    asked = [item.question for known, item in generated_items(evaluation.benchmarks, 3) if known == name]
    result = filtered(tmp_path, f"  {asked[-1].upper()}", mode, evaluation)
    assert kept_ids(tmp_path) == ["t0"]
    assert result.counts["filtered"] == {"contaminated": 1}
    assert result.metrics["tasks/contamination_test_questions"] == len(asked) + 15
    assert result.warnings == ()


def test_a_question_that_the_run_is_not_evaluated_on_may_be_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("reasoning_gym")
    monkeypatch.delenv("AGENT0_BENCHMARKS", raising=False)
    [(_, item)] = generated_items(("gym:products",), 1)
    filtered(tmp_path, item.question, "drop", EvaluationSettings(benchmarks=("gym:gcd",), questions_per_level=3))
    assert kept_ids(tmp_path) == ["t0", "t1"]
