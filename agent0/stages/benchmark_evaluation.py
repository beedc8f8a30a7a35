"""Stage: score an executor on held-out benchmarks."""

from __future__ import annotations

import shutil
import time
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from agent0.benchmarks.spec import file_name
from agent0.config import EvaluationSettings, RolloutSettings, SamplingSettings, SandboxSettings, TrackingSettings
from agent0.evaluation.assignments import check_room, prepare
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.executor_scores import executor_scores
from agent0.evaluation.inspect_log import require_inspect
from agent0.evaluation.registered_evaluations import evaluation_of
from agent0.evaluation.sample_runner import Keeper, engine_seed, open_stores, run_assignments, sample_folder
from agent0.evaluation.sample_store import SAMPLES_FILE
from agent0.progress import Drawing
from agent0.rollout.backends import open_backend
from agent0.rollout.engine import Backend
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.tokens import model_positions
from agent0.sandbox import open_sandbox
from agent0.stages.open_agents import seed_everything
from agent0.stages.session import Stage, StageResult
from agent0.stages.stage_files import BEFORE_FILE, SCORES_FILE
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import model_digest


def run_benchmark_evaluation(
    stage: Stage,
    *,
    executor_model: Path,
    output: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    evaluation: EvaluationSettings,
    tracking: TrackingSettings,
    output_uri: str,
    known_from: str = "",
    before: Path | None = None,
) -> StageResult:
    """Write the executor's scores, the record of the evaluation, its samples and its logs to `output`.

    An attempt that was cut short is gone on with, sample by sample. Where the history at `known_from` holds the scores
    already, nothing is evaluated and `output` is empty. The scores in `before`, of the model that this one was made
    from, are kept beside its own.

    The scores of a round's executor are recorded on the version that the round registered; they are stored, with the
    record, at `output_uri`.
    """
    if known_from:
        output.mkdir(parents=True, exist_ok=True)
        return StageResult({})
    seed_everything(stage.seed)
    began = time.time()
    if evaluation.logs:
        require_inspect()
    tokenizer = load_tokenizer(executor_model)
    assignments = prepare(evaluation, rollout, tokenizer, stage.seed)
    check_room(assignments, model_positions(executor_model))
    for assignment in assignments:
        stage.progress.note(
            f"{assignment.benchmark.name}: {len(assignment.questions):,} questions, {assignment.samples} samples of "
            f"each; the least difference to another model that this can show: {assignment.can_show()}"
        )
    digest = model_digest(executor_model)
    # Tasks of one evaluation pipeline run side by side, each with benchmarks of its own.
    workspace = stage.workspace(output, "-".join(map(file_name, evaluation.benchmarks)))
    stores = open_stores(assignments, workspace.folder, digest, rollout, sandbox)
    finished = sum(len(store.records) for store in stores.values())
    keeper = Keeper(lambda benchmark: workspace.save(file_name(benchmark)))
    drawing = Drawing(stage.progress, sum(assignment.total for assignment in assignments), done=finished)

    def opened(budget: RolloutSettings, sampling: SamplingSettings) -> AbstractContextManager[Backend]:
        return open_backend(
            executor_model, tokenizer, budget, sampling, log=output, seed=engine_seed(stage.seed, stores.values())
        )

    with open_sandbox(sandbox, needed=any(assignment.tool for assignment in assignments)) as tool:
        throughput = run_assignments(
            assignments,
            stores,
            opened,
            tokenizer,
            tool,
            rollout,
            keeper.show,
            lambda _: drawing,
        )
        measured = {**throughput.metrics(), **tool.gauges().metrics()}
    gpus = torch.cuda.device_count()
    judged = judge(assignments, stores, gpus)
    subject = Subject(f"{stage.name} {stage.iteration}", str(executor_model), digest, gpus)
    report = conclude(judged, subject, evaluation, rollout, stage.seed, began, output)
    if stage.iteration:  # what was evaluated is what the round before this stage has registered
        made_by = stage.iteration, stage.evolution_id
        scored = evaluation_of(report, output, output_uri, stage.evolution_id, made_by)
        stage.tracker.record_evaluation(tracking.registered_executor, scored)
    for assignment in assignments:
        target = sample_folder(output, assignment)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sample_folder(workspace.folder, assignment) / SAMPLES_FILE, target / SAMPLES_FILE)
    scores = executor_scores(judged)
    write_json(output / SCORES_FILE, scores.model_dump())
    if before is not None:
        shutil.copyfile(before / SCORES_FILE, output / BEFORE_FILE)
    return StageResult({**scores.metrics(), "eval/self_consistency": scores.self_consistency, **measured})
