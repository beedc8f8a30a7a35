"""Stage: add an iteration to the evolution's history and draw the report anew.

It runs after every iteration, so an evolution that is cut short leaves a report of all it finished.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent0.ablations import active_ablations
from agent0.answers import equivalent
from agent0.answers.audit import BREAKDOWN
from agent0.config import CurriculumSettings
from agent0.evaluation.statistics import clustered_mean
from agent0.report.evolution_page import render
from agent0.report.figures import consistency_picture
from agent0.report.history import HISTORY_FILE, Example, ExecutorScores, History, IterationRecord, ProposalStatistics
from agent0.report.wording import headline
from agent0.rewards.diversity import CLUSTERS, diversity_metrics, novelty
from agent0.seeds import sampled
from agent0.stages.executor_guard import KEPT_PREVIOUS
from agent0.stages.flips import count_flips, keep_verdicts
from agent0.stages.masters import drop_masters
from agent0.stages.open_history import earlier_questions, read_history
from agent0.stages.session import Stage, StageResult, read_report
from agent0.stages.stage_files import (
    BEFORE_FILE,
    KEPT_FOLDER,
    QUESTIONS_FOLDER,
    REPORT_FILE,
    SAMPLE_FOLDER,
    SCORES_FILE,
    SUMMARY_FILE,
    TASKS_FOLDER,
    VERDICTS_FOLDER,
)
from agent0.stages.task_collection import TEACHER_METRICS
from agent0.storage.atomic_file import atomic_write, write_json
from agent0.storage.shards import (
    add_shard,
    iterate_records,
)
from agent0.storage.text_files import read_model
from agent0.storage.workspace import clear_workspace
from agent0.tracking.review import NOTE_TAG, evolution_note
from agent0.tracking.tracker import undelivered_tag
from agent0.types import LabelledTask, SolvedTask, StageReport, Task

EXAMPLES_PER_ITERATION = 4
DIVERSITY_SAMPLE = 4000  # all pairs are compared
TASK_METRICS = (
    *("kept", "self_consistency", "tool_calls", "repetition", "first_executor_pass_rate", "kept_wrong"),
    *("kept_novelty", "kept_repeated", "label_accuracy", "label_accuracy_low", "label_accuracy_high"),
)
"""Fields of `ProposalStatistics` that belong on the evolution's own run."""


def run_iteration_report(
    stage: Stage,
    *,
    history: Path,
    base_evaluation: Path,
    evaluation: Path,
    curriculum_model: Path,
    tasks: Path,
    labelled: Path,
    kept: Path,
    executor_model: Path,
    output: Path,
    curriculum: CurriculumSettings,
) -> StageResult:
    """Write the grown history, the report and the summary to `output`."""
    reports = [read_report(folder) for folder in (curriculum_model, tasks, labelled, kept, executor_model, evaluation)]
    proposing, generation, execution, filtering, training, _ = reports
    past = read_history(history)
    iterations = past.iterations or (_base(base_evaluation),)
    varied = _diversity(stage, tasks, history, output, curriculum)
    record = IterationRecord(
        iteration=stage.iteration,
        executor=_scores(evaluation),
        proposals=_proposals(
            generation,
            execution,
            filtering,
            iterate_records(LabelledTask, labelled / TASKS_FOLDER),
            _novelty(stage, kept, history, curriculum),
            varied.get(CLUSTERS),
        ),
        flips=count_flips(history / VERDICTS_FOLDER if past.iterations else base_evaluation, evaluation),
        kept_previous=training.metrics.get(KEPT_PREVIOUS) == 1,
        training={"curriculum": proposing.log, "executor": training.log},
        examples=_examples(stage, labelled, kept),
        stage_seconds={report.stage: report.seconds for report in reports},
    )
    grown = past.model_copy(
        update={
            "before_warm_start": past.before_warm_start or _before(base_evaluation),
            "iterations": (*iterations, record),
            "finished_at": max(time.time(), past.finished_at),  # the clock may have been set back
        }
    )
    write_history(grown, output)
    keep_verdicts(evaluation, output)
    add_shard(
        LabelledTask, history / KEPT_FOLDER, iterate_records(LabelledTask, kept / TASKS_FOLDER), output / KEPT_FOLDER
    )
    finished = {
        stage.iteration: evolution_metrics(record)
        | {f"tasks/diversity_{name}": value for name, value in varied.items()}
    }
    if stage.iteration == past.first_iteration:
        finished[0] = evolution_metrics(iterations[0])
    _log(stage, grown, finished, output)
    for number in finished:
        clear_workspace(f"{stage.evolution_id}/{number}")  # every stage of the iteration has its result
    drop_masters(stage, (curriculum_model, executor_model))
    return StageResult(
        {
            "eval/accuracy": record.executor.accuracy,
            "eval/gain": record.executor.accuracy - grown.iterations[0].executor.accuracy,
        },
        warnings=_undelivered(stage, reports),
    )


def _log(stage: Stage, history: History, finished: Mapping[int, Mapping[str, float]], output: Path) -> None:
    """Write the finished iterations' numbers, the report and a picture to MLflow, and end the iterations' runs."""
    for number, metrics in sorted(finished.items()):
        for tracker in (stage.evolution, stage.iteration_run(number)):
            tracker.log_metrics(metrics, number)
        stage.iteration_run(number).set_status("FINISHED")
    for name in (REPORT_FILE, SUMMARY_FILE, HISTORY_FILE):
        stage.evolution.log_file(output / name)
    with tempfile.TemporaryDirectory(prefix="agent0-picture-") as folder:
        picture = Path(folder) / "self_consistency.png"
        consistency_picture(history, stage.iteration, picture)
        stage.evolution.log_image(picture, "tasks/self_consistency", stage.iteration)
    note = evolution_note(history.config, active_ablations(history.config), f"**{headline(history)}**")
    stage.evolution.set_tags({NOTE_TAG: note})
    if stage.iteration == history.planned_iterations:
        stage.evolution.set_status("FINISHED")


def _undelivered(stage: Stage, reports: Iterable[StageReport]) -> tuple[str, ...]:
    """Say on the iteration's and the evolution's run, and return, which stages MLflow does not know all of."""
    missing = {report.stage: report.undelivered for report in reports if report.undelivered}
    tags = {undelivered_tag(stage.iteration, name): file for name, file in missing.items()}
    if tags:
        stage.evolution.set_tags(tags)
        stage.iteration_run(stage.iteration).set_tags(tags)
    return tuple(
        f"MLflow does not hold all of {name}; deliver it with: agent0 tracking flush {file}"
        for name, file in missing.items()
    )


def write_history(history: History, folder: Path) -> None:
    """Write a history with its report and its summary."""
    write_json(folder / HISTORY_FILE, history.model_dump())
    write_json(folder / SUMMARY_FILE, history.summary())
    with atomic_write(folder / REPORT_FILE) as file:
        file.write(render(history))


def evolution_metrics(record: IterationRecord) -> dict[str, float]:
    """Return the numbers of one iteration that belong on the evolution's own run."""
    metrics = record.executor.metrics()
    if record.proposals is not None:
        found = {name: getattr(record.proposals, name) for name in TASK_METRICS}
        found |= {f"label_accuracy_{name}": value for name, value in record.proposals.label_accuracy_by.items()}
        found |= {f"teacher_{name}": value for name, value in record.proposals.teacher.items()}
        metrics |= {f"tasks/{name}": float(value) for name, value in found.items() if value is not None}
    if record.flips is not None:
        metrics |= {"eval/lost": float(record.flips.lost), "eval/won": float(record.flips.won)}
    return metrics


def _base(evaluation: Path) -> IterationRecord:
    seconds = {"benchmark_evaluation": read_report(evaluation).seconds}
    return IterationRecord(iteration=0, executor=_scores(evaluation), proposals=None, stage_seconds=seconds)


def _scores(folder: Path, name: str = SCORES_FILE) -> ExecutorScores:
    return read_model(
        folder / name, ExecutorScores, noun="file of scores", mended_by="run the evaluation's stage again"
    )


def _before(evaluation: Path) -> ExecutorScores | None:
    """Return the base model's scores where the evolution begins with another model, after a warm start."""
    return _scores(evaluation, BEFORE_FILE) if (evaluation / BEFORE_FILE).is_file() else None


def _proposals(
    generation: StageReport,
    execution: StageReport,
    filtering: StageReport,
    labelled: Iterable[LabelledTask],
    fresh: tuple[float, float] | None,
    clusters: float | None,
) -> ProposalStatistics:
    rates = [task.first_executor_pass_rate for task in labelled if task.first_executor_pass_rate is not None]
    difficulty = clustered_mean(rates) if rates else None
    labels = {name.removeprefix("tasks/"): value for name, value in filtering.metrics.items()}
    optional = ("label_accuracy", "label_accuracy_low", "label_accuracy_high", "kept_wrong")
    return ProposalStatistics(
        generated=int(generation.metrics["tasks/generated"]),
        valid=int(generation.metrics["tasks/valid"]),
        kept=int(filtering.metrics["tasks/kept"]),
        first_executor_pass_rate=difficulty.mean if difficulty else None,
        first_executor_pass_rate_low=difficulty.low if difficulty else None,
        first_executor_pass_rate_high=difficulty.high if difficulty else None,
        probed=len(rates),
        self_consistency=execution.metrics["tasks/self_consistency"],
        tool_calls=execution.metrics["tasks/tool_calls"],
        **{name: labels.get(name) for name in optional},
        labelled_with_truth=int(labels.get("label_known", 0)),
        label_accuracy_by={
            name: labels[f"label_accuracy_{name}"] for name in BREAKDOWN if f"label_accuracy_{name}" in labels
        },
        kept_novelty=fresh[0] if fresh else None,
        kept_repeated=fresh[1] if fresh else None,
        self_consistency_histogram=execution.counts["self_consistency"],
        rejections=generation.counts["rejections"],
        filtered=filtering.counts["filtered"],
        repetition=generation.metrics["tasks/repetition"],
        distinct=generation.metrics["tasks/distinct"],
        clusters=clusters,
        proposer_tool_calls=generation.metrics["curriculum/tool_calls"],
        proposer_agreement=execution.metrics.get("curriculum/agreement"),
        teacher={
            name.removeprefix(TEACHER_METRICS): value
            for name, value in generation.metrics.items()
            if name.startswith(TEACHER_METRICS)
        },
    )


def _novelty(stage: Stage, kept: Path, history: Path, curriculum: CurriculumSettings) -> tuple[float, float] | None:
    """Return the mean novelty of the kept questions and the share that repeats an earlier one; None in the first."""
    earlier = sampled(earlier_questions(history), DIVERSITY_SAMPLE, stage.seed)
    if not earlier:
        return None
    questions = [task.task.question for task in iterate_records(LabelledTask, kept / TASKS_FOLDER)]
    fresh = novelty(sampled(questions, DIVERSITY_SAMPLE, stage.seed), earlier)
    return float(fresh.mean()), float((fresh < curriculum.reward.repetition_distance).mean())


def _diversity(
    stage: Stage, tasks: Path, history: Path, output: Path, curriculum: CurriculumSettings
) -> dict[str, float]:
    """Measure how varied this iteration's questions are, and how new against all earlier ones, which are kept."""
    new = [task.question for task in iterate_records(Task, tasks / TASKS_FOLDER)]
    add_shard(Task, history / QUESTIONS_FOLDER, iterate_records(Task, tasks / TASKS_FOLDER), output / QUESTIONS_FOLDER)
    old = earlier_questions(history)
    sample = sampled(new, DIVERSITY_SAMPLE, stage.seed)
    past = sampled(old, DIVERSITY_SAMPLE, stage.seed)
    return diversity_metrics(sample, past, curriculum.reward.repetition_distance)


def _examples(stage: Stage, labelled: Path, kept: Path) -> tuple[Example, ...]:
    """Return a few trajectories to read, of kept tasks and others, one per task, out of the executor's sample."""
    solved = {item.task_id: item.trajectory for item in iterate_records(SolvedTask, labelled / SAMPLE_FOLDER)}
    chosen = sampled(sorted(solved), EXAMPLES_PER_ITERATION, stage.seed)
    read = iterate_records(LabelledTask, labelled / TASKS_FOLDER)
    by_id = {task.task.id: task for task in read if task.task.id in chosen}
    kept_ids = {task.task.id for task in iterate_records(LabelledTask, kept / TASKS_FOLDER) if task.task.id in chosen}
    return tuple(
        Example(
            iteration=stage.iteration,
            question=by_id[task_id].task.question,
            pseudo_label=by_id[task_id].vote.answer,
            known_answer=by_id[task_id].known_answer,
            self_consistency=by_id[task_id].vote.self_consistency,
            kept=task_id in kept_ids,
            text=solved[task_id].text,
            answer=solved[task_id].answer,
            correct=_verdict(by_id[task_id].known_answer, solved[task_id].answer),
            tool_calls=len(solved[task_id].tool_calls),
        )
        for task_id in chosen
    )


def _verdict(known: str | None, answer: str | None) -> bool | None:
    return None if known is None else equivalent(known, answer).correct
