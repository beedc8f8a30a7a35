"""Stage: check an evaluation's settings and open its MLflow run.

What can be known to be wrong is found here, before any GPU is asked for. What an alias points to now is what the whole
evaluation speaks of, whatever happens to the alias meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent0.config import WIRE, Config, EvaluationSettings, ModelSettings, parse_section
from agent0.consistency import check_evaluation
from agent0.errors import UsageError
from agent0.evaluation.results import read_report
from agent0.promotion.champion import NO_CHAMPION, Challenge, early_warning, resolve_champion
from agent0.stages.opening import check_wire
from agent0.stages.session import flatten
from agent0.storage.digest import code_version
from agent0.tracking.model_source import resolve_source
from agent0.tracking.model_uri import is_model_uri, parse_model_uri
from agent0.tracking.tracking_location import tracking_uri


@dataclass(frozen=True)
class PreparedEvaluation:
    """What the other stages of an evaluation start from.

    Attributes:
        run_id: MLflow run of the evaluation.
        config: what every later task is given: an alias of the model is replaced by its version.
        champion: what is compared with: a place, the version of a registered model, or `NO_CHAMPION`.
        warnings: what may keep the gate from deciding.
    """

    run_id: str
    config: Config
    champion: str
    warnings: tuple[str, ...]


def prepare_evaluation(*_: object) -> None:
    """Refuse a pipeline that was compiled when this took single sections; see `open_evaluation`."""
    check_wire(1)


def open_evaluation(
    name: str, champion: str, values: Mapping[str, Any], job: str, wire: int = WIRE
) -> PreparedEvaluation:
    """Check the settings, resolve aliases, and open the evaluation's run, tagged with the id of the pipeline's run.

    A recipe for the embedded model alone may ask any other: it says how to evolve.

    Args:
        name: of the model in tables; empty for the last part of its source.
        champion: what is compared with; empty for none.
        values: seed and sections, as they came from the pipeline's parameters.
        job: id of the pipeline's run.
        wire: what its tasks hand each other.

    Raises:
        UsageError: a pipeline of another version, a seed out of range, an unknown benchmark, one named twice, or a
            champion evaluated on others or under another preset.
        ResultsError: the champion's place holds no evaluation.
        RegistryError: model or champion are no versions of a registered model.
        Agent0Error: MLflow or the champion's store does not answer.
    """
    from agent0.tracking.mlflow_runs import open_client, start_run  # mlflow takes seconds to import

    check_wire(wire)
    given = parse_section(Config, {**values, "model": {**values["model"], "embedded_only": False}})
    check_evaluation(given)
    names, evaluation = list(given.evaluation.benchmarks), given.evaluation
    concrete = given.model.model_copy(update={"source": resolve_source(given.model.source)})
    against = champion or NO_CHAMPION
    warnings: tuple[str, ...] = ()
    if is_model_uri(champion):
        client = open_client(tracking_uri())
        against = resolve_champion(client, parse_model_uri(champion))
        challenge = Challenge(concrete.source, parse_model_uri(champion), against)
        warnings = early_warning(client, challenge, names, evaluation.preset)
    elif champion:
        _check_champion(champion, evaluation)
    params = {**flatten(concrete, "model"), **flatten(evaluation, "evaluation"), **flatten(given.gate, "gate")}
    tags = {
        "agent0.seed": str(given.seed),
        "agent0.model": concrete.source,
        "agent0.champion": champion or NO_CHAMPION,
        "agent0.champion_version": against,
        "agent0.code_version": code_version(),
        "agent0.job": job,
    }
    shown = evaluation_name(name, concrete)
    run_id = start_run(
        tracking_uri(),
        given.tracking.experiment,
        f"evaluation {shown} seed {given.seed}",
        params,
        tags,
        note=f"Evaluation of `{concrete.source}` on {', '.join(names)}; its artifact `comparison.html` compares it.",
    )
    return PreparedEvaluation(
        run_id=run_id,
        config=given.model_copy(update={"model": concrete}),
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
