"""Stage: check an evaluation's settings, open its MLflow run, and divide it by benchmark.

What can be known to be wrong is found here, before any GPU is asked for. What an alias points to now is what the whole
evaluation speaks of, whatever happens to the alias meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent0.config import EvaluationSettings, ModelSettings, TrackingSettings
from agent0.consistency import check_benchmarks, check_gate, check_seeds
from agent0.errors import UsageError
from agent0.evaluation.champion import NO_CHAMPION, Challenge, early_warning, resolve_champion
from agent0.evaluation.gate import GateSettings
from agent0.evaluation.results import read_report
from agent0.stages.session import flatten
from agent0.storage.digest import code_version
from agent0.tracking.location import tracking_uri
from agent0.tracking.model_source import resolve_source
from agent0.tracking.model_uri import is_model_uri, parse_model_uri


@dataclass(frozen=True)
class PreparedEvaluation:
    """What the other stages of an evaluation start from.

    Attributes:
        run_id: MLflow run of the evaluation.
        by_benchmark: section `evaluation` for each benchmark on its own.
        model: its section, with an alias replaced by its version.
        champion: what is compared with: a place, the version of a registered model, or `NO_CHAMPION`.
        warnings: what may keep the gate from deciding.
    """

    run_id: str
    by_benchmark: list[dict[str, Any]]
    model: ModelSettings
    champion: str
    warnings: tuple[str, ...]


def prepare_evaluation(
    name: str,
    seed: int,
    champion: str,
    model: ModelSettings,
    evaluation: EvaluationSettings,
    gate: GateSettings,
    tracking: TrackingSettings,
    job: str,
) -> PreparedEvaluation:
    """Check the settings, resolve aliases, and open the evaluation's run, tagged with the id of the pipeline's run.

    Raises:
        UsageError: a seed out of range, an unknown benchmark, one named twice, or a champion evaluated on others or
            under another preset.
        ResultsError: the champion's place holds no evaluation.
        RegistryError: model or champion are no versions of a registered model.
        Agent0Error: MLflow or the champion's store does not answer.
    """
    from agent0.tracking.runs import open_client, start_run  # mlflow takes seconds to import

    names = list(evaluation.benchmarks)
    check_seeds([seed])
    check_benchmarks(names)
    check_gate(gate)
    concrete = model.model_copy(update={"source": resolve_source(model.source)})
    against = champion or NO_CHAMPION
    warnings: tuple[str, ...] = ()
    if is_model_uri(champion):
        client = open_client(tracking_uri())
        against = resolve_champion(client, parse_model_uri(champion))
        challenge = Challenge(concrete.source, parse_model_uri(champion), against)
        warnings = early_warning(client, challenge, names, evaluation.preset)
    elif champion:
        _check_champion(champion, evaluation)
    params = {**flatten(concrete, "model"), **flatten(evaluation, "evaluation"), **flatten(gate, "gate")}
    tags = {
        "agent0.seed": str(seed),
        "agent0.model": concrete.source,
        "agent0.champion": champion or NO_CHAMPION,
        "agent0.champion_version": against,
        "agent0.code_version": code_version(),
        "agent0.job": job,
    }
    shown = evaluation_name(name, concrete)
    run_id = start_run(tracking_uri(), tracking.experiment, f"evaluation {shown} seed {seed}", params, tags)
    return PreparedEvaluation(
        run_id=run_id,
        by_benchmark=[{**evaluation.model_dump(mode="json"), "benchmarks": [known]} for known in names],
        model=concrete,
        champion=against,
        warnings=warnings,
    )


def evaluation_name(name: str, model: ModelSettings) -> str:
    """Return the model's name in tables: the one given, else the last part of where it comes from."""
    if name:
        return name
    if is_model_uri(model.source):
        uri = parse_model_uri(model.source)
        return f"{uri.name} {uri.version or uri.alias}"
    return model.source.rstrip("/").rpartition("/")[2]


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
