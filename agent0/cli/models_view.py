"""Registered models as tables for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from agent0.cli.screen import Table
from agent0.evaluation.registered_evaluations import recorded_evaluations
from agent0.evaluation.results import ResultsError
from agent0.tracking.registry import aliases, ancestry, explained, find_model, versions

SHORT = 12


def models_table(client: MlflowClient) -> Table:
    """Return the registered models with their newest version and their aliases."""
    table = Table("model", "newest", "aliases", "changed", right=("newest",))
    with explained("listing the registered models"):
        for model in client.search_registered_models():
            pointed = ", ".join(f"{alias} → {version}" for alias, version in sorted(model.aliases.items()))
            numbers = [str(version.version) for version in versions(client, model.name)]
            table.add(model.name, next(iter(numbers), "–"), pointed or "–", _time(model.last_updated_timestamp))
    return table


def versions_table(client: MlflowClient, name: str) -> Table:
    """Return the versions of a registered model, newest first.

    Raises:
        RegistryError: there is no such model.
    """
    columns = ("version", "aliases", "iteration", "parent", "latest scores", "sha256", "made")
    table = Table(*columns, right=("iteration",), spare=("sha256", "made"))
    with explained(f"listing the versions of {name}"):
        find_model(client, name)
        pointing = _pointing(client, name)
        for version in versions(client, name):
            tags = version.tags
            table.add(
                str(version.version),
                pointing.get(str(version.version), "–"),
                tags.get("iteration", "–"),
                tags.get("parent_version", "base"),
                _latest_scores(version),
                tags.get("model_sha256", "–")[:SHORT],
                _time(version.creation_timestamp),
            )
    return table


def version_view(client: MlflowClient, version: ModelVersion) -> tuple[dict[str, str], Table, Table]:
    """Return everything about a version: facts with the last decision, lineage, scores."""
    with explained(f"reading {version.name} version {version.version}"):
        pointing = _pointing(client, version.name)
        line = ancestry(client, version)
        base = _base_model(client, line[-1])
    facts = {
        "version": f"models:/{version.name}/{version.version}",
        "aliases": pointing.get(str(version.version), "none"),
        "files": version.source,
        "sha256": version.tags.get("model_sha256", "unknown"),
        "run": version.run_id or "none",
        "evolution": version.tags.get("evolution_run_id", "none"),
        "left out": version.tags.get("ablations", "nothing"),
        "code": version.tags.get("code_version", "unknown"),
        "image": version.tags.get("image_digest", "none"),
        "decision": version.tags.get("decision_reason", "none yet"),
    }
    return facts, _lineage_table(line, pointing, base), _evaluations_table(version)


def _lineage_table(line: list[ModelVersion], pointing: dict[str, str], base: str) -> Table:
    columns = ("version", "aliases", "iteration", "model", "trained on tasks", "code")
    table = Table(*columns, right=("iteration",), spare=("code", "trained on tasks"))
    for version in line:
        tags = version.tags
        digests = [tags.get(name, "–")[:SHORT] for name in ("model_sha256", "tasks_sha256")]
        aliases_here = pointing.get(str(version.version), "–")
        code = tags.get("code_version", "–")
        table.add(str(version.version), aliases_here, tags.get("iteration", "–"), *digests, code)
    table.add(f"base: {base}", "–", "0", line[-1].tags.get("parent_sha256", "–")[:SHORT], "–", "–")
    return table


def _evaluations_table(version: ModelVersion) -> Table:
    columns = ("benchmark", "score", "95 %", "preset", "tool", "evaluated", "place")
    table = Table(*columns, right=("score", "95 %"), spare=("tool", "preset", "evaluated"), empty="Not evaluated yet.")
    for item in recorded_evaluations(version).values():
        for benchmark, (mean, low, high) in item.scores.items():
            table.add(
                benchmark,
                f"{100 * mean:.1f}",
                f"{100 * low:.1f}–{100 * high:.1f}",
                item.preset,
                "yes" if item.tool else "no",
                _time(round(1000 * item.finished_at)),
                item.place,
            )
    return table


def _base_model(client: MlflowClient, first: ModelVersion) -> str:
    """Return what the evolution of the first version in a line began with, as far as its run still says so."""
    try:
        run = client.get_run(first.tags.get("evolution_run_id", ""))
    except MlflowException:  # the run was removed; the digest in the same row still tells
        return "unknown"
    return str(run.data.params.get("config.model.source", "unknown"))


def _latest_scores(version: ModelVersion) -> str:
    try:
        latest = next(iter(recorded_evaluations(version).values()), None)
    except ResultsError:
        return "damaged"
    if latest is None:
        return "–"
    return ", ".join(f"{name} {100 * mean:.1f}" for name, (mean, _, _) in latest.scores.items())


def _pointing(client: MlflowClient, name: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for alias, version in sorted(aliases(client, name).items()):
        found.setdefault(version, []).append(alias)
    return {version: ", ".join(names) for version, names in found.items()}


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "–"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")
