"""Stage: put the benchmarks of an evaluation together, draw the comparison, and ask the promotion gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from agent0.config import GateSettings, ModelSettings
from agent0.evaluation.merging import merge_evaluations
from agent0.evaluation.registered_evaluations import record_on_version
from agent0.evaluation.results import REPORT_FILE, EvaluationReport
from agent0.promotion.claims import Run, pair_runs, read_runs
from agent0.promotion.comparison_page import render
from agent0.promotion.decision import DECISION_FILE
from agent0.promotion.gate import GateDecision
from agent0.promotion.scheduled_records import in_order, keep_run, past_runs
from agent0.stages.challenge import carry_out, challenge_of, contest_against
from agent0.stages.evaluation_preparation import evaluation_name
from agent0.stages.session import Stage, StageResult
from agent0.storage.atomic_file import atomic_write
from agent0.storage.workspace import clear_workspace

PAGE_FILE = "comparison.html"


def run_evaluation_comparison(
    stage: Stage,
    *,
    evaluations: Sequence[Path],
    champion: str,
    resolved_champion: str,
    promote: bool,
    publish_to: str,
    history: str,
    model_name: str,
    model: ModelSettings,
    gate: GateSettings,
    output: Path,
    output_uri: str,
    page: Path,
) -> StageResult:
    """Write the whole evaluation, the comparison page and, with a champion, the gate's decision to `output`.

    The page is written to `page` as well, which Kubeflow shows. The evaluation of a registered model is recorded on its
    version; where the champion is an alias and the gate says so, the alias moves, unless `promote` is off. The version
    that it moved to is published in Kubeflow's model registry at `publish_to`, if that is given.
    With a place `history`, earlier runs that are recorded there are drawn over time, and this one is recorded there.

    A champion that cannot be compared with is kept, with a warning: the evaluation is finished and not to be lost.

    Raises:
        UsageError: the evaluations are not of one model in one setting.
        ResultsError: an evaluation or the champion's is missing or broken.
        RegistryError: the registry refuses or does not answer.
        StorageError: the store of the champion or of the history refuses or does not answer.
    """
    report = merge_evaluations(
        [str(folder) for folder in evaluations], evaluation_name(model_name, model), model.source, output
    )
    evaluated = Run(str(output), report)
    record_on_version(report, output, model.source, output_uri, stage.evolution_id)
    challenge = challenge_of(model.source, champion, resolved_champion, promote=promote)
    metrics, files = _score_metrics(report), [REPORT_FILE, PAGE_FILE]
    told, warned = "", False
    with contest_against(stage, champion, challenge, evaluated, gate) as contest:
        if contest is not None:
            told, warned = carry_out(stage, contest, challenge, evaluated, gate, publish_to, output)
            files.append(DECISION_FILE)
            metrics |= _gate_metrics(contest.decision)
        against = [contest.champion.place] if contest is not None and contest.champion is not None else []
        runs = read_runs([*against, str(output)])
        past, complaints = past_runs(history) if history else ([], [])
        text = render(runs, pair_runs(runs), history=in_order(runs, past), decision=told)
    if history:
        keep_run(history, report, stage.evolution_id)
    for path in (output / PAGE_FILE, page):
        with atomic_write(path) as file:
            file.write(text)
    stage.evolution.log_metrics(metrics, stage.iteration)
    for file_name in files:
        stage.evolution.log_file(output / file_name)
    stage.evolution.set_status("FINISHED")
    clear_workspace(f"{stage.evolution_id}/{stage.iteration}")
    return StageResult(metrics, warnings=(*([told] if warned else []), *complaints))


def _score_metrics(report: EvaluationReport) -> dict[str, float]:
    metrics = {"eval/mean": fmean(score.score.mean for score in report.benchmarks)}
    for score in report.benchmarks:
        metrics[f"eval/{score.benchmark}"] = score.score.mean
        metrics[f"eval/{score.benchmark}_low"] = score.score.low
        metrics[f"eval/{score.benchmark}_high"] = score.score.high
    return metrics


def _gate_metrics(decision: GateDecision) -> dict[str, float]:
    return {
        "eval/gate_promoted": float(decision.promoted),
        "eval/gate_mean_gain": decision.mean_gain,
        "eval/gate_gains": float(len(decision.gains)),
        "eval/gate_losses": float(len(decision.losses)),
    }
