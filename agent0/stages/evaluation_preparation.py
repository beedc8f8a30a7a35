"""Stage: check an evaluation's settings, open its MLflow run, and divide it by benchmark.

What can be known to be wrong is found here, before any GPU is asked for.
"""

from __future__ import annotations

from typing import Any

from agent0.config import EvaluationSettings, ModelSettings, TrackingSettings
from agent0.errors import UsageError
from agent0.evaluation.catalogue import benchmark
from agent0.evaluation.gate import GateSettings
from agent0.evaluation.results import read_report
from agent0.stages.session import flatten
from agent0.storage.digest import code_version
from agent0.tracking.location import tracking_uri


def prepare_evaluation(
    name: str,
    seed: int,
    champion: str,
    model: ModelSettings,
    evaluation: EvaluationSettings,
    gate: GateSettings,
    tracking: TrackingSettings,
) -> tuple[str, list[dict[str, Any]]]:
    """Return the id of the evaluation's MLflow run, and section `evaluation` for each benchmark on its own.

    Raises:
        UsageError: an unknown benchmark, one named twice, or a champion evaluated on others or under another preset.
        ResultsError: the champion's place holds no evaluation.
        Agent0Error: MLflow or the champion's store does not answer.
    """
    from agent0.tracking.mlflow_tracker import start_run  # mlflow takes seconds to import

    names = [benchmark(known).name for known in evaluation.benchmarks]
    if len(set(names)) != len(names):
        raise UsageError(f"A benchmark is named twice: {', '.join(names)}.")
    if champion:
        _check_champion(champion, evaluation)
    params = {**flatten(model, "model"), **flatten(evaluation, "evaluation"), **flatten(gate, "gate")}
    tags = {"agent0.seed": str(seed), "agent0.champion": champion or "none", "agent0.code_version": code_version()}
    shown = evaluation_name(name, model)
    run_id = start_run(tracking_uri(), tracking.experiment, f"evaluation {shown} seed {seed}", params, tags)
    return run_id, [{**evaluation.model_dump(mode="json"), "benchmarks": [known]} for known in names]


def evaluation_name(name: str, model: ModelSettings) -> str:
    """Return the model's name in tables: the one given, else the last part of where it comes from."""
    return name or model.source.rstrip("/").rpartition("/")[2]


def _check_champion(champion: str, evaluation: EvaluationSettings) -> None:
    report = read_report(champion)
    theirs = [score.benchmark for score in report.benchmarks]
    if set(theirs) != set(evaluation.benchmarks):
        raise UsageError(
            f"The champion's evaluation {champion} is of {', '.join(theirs)}, and this one of "
            f"{', '.join(evaluation.benchmarks)}; name the same in evaluation.benchmarks."
        )
    if report.preset != evaluation.preset:
        raise UsageError(
            f"The champion's evaluation {champion} ran the preset {report.preset}; set evaluation.preset to it."
        )
