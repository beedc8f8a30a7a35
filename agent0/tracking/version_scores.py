"""Evaluations written on versions of registered models: where each lies, and its scores as MLflow's pages show them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from agent0.tracking.model_location import lies_at, upload
from agent0.tracking.model_origin import EVALUATION_TAG, Evaluated
from agent0.tracking.registry import REPLACED_TAG, Client, Version, explained, set_version_tags, versions


def write_scores(client: Client, version: Version, evaluated: Evaluated, run_id: str) -> None:
    """Write an evaluation on a version, over an earlier one in the same setting.

    Args:
        client: of the registry.
        version: what was evaluated.
        evaluated: the evaluation.
        run_id: gets its record as artifacts, where others could not find it otherwise.

    Raises:
        RegistryError: MLflow refuses or does not answer.
    """
    with explained(f"writing the scores of {version.name} version {version.version}"):
        place = lies_at(client, evaluated.folder, evaluated.uri) or _uploaded(client, evaluated, run_id)
    record = {**evaluated.record, "place": place}
    set_version_tags(client, version, {f"{EVALUATION_TAG}{evaluated.key}": json.dumps(record)})
    with explained(f"describing {version.name} version {version.version}"):
        client.update_model_version(version.name, str(version.version), _description(version, evaluated))


def trained_version(client: Client, name: str, evaluated: Evaluated) -> Version | None:
    """Return the version that a round of an evolution made of the model that was evaluated, if it is registered."""
    condition = (
        f"tags.model_sha256='{evaluated.model_sha256}' and tags.iteration='{evaluated.iteration}' "
        f"and tags.evolution_run_id='{evaluated.evolution_run_id}'"
    )
    with explained(f"looking for the version of {name} that was evaluated"):
        found = versions(client, name, condition)
    return next((version for version in found if REPLACED_TAG not in version.tags), None)


def _uploaded(client: Client, evaluated: Evaluated, run_id: str) -> str:
    with tempfile.TemporaryDirectory() as temporary:
        record = Path(temporary) / "record"
        record.mkdir()
        for name in evaluated.files:
            copy = shutil.copytree if (evaluated.folder / name).is_dir() else shutil.copyfile
            copy(evaluated.folder / name, record / name)
        return upload(client, run_id, record, f"evaluations/{evaluated.key}")


def _description(version: Version, evaluated: Evaluated) -> str:
    scores = ", ".join(
        f"{name} {100 * mean:.1f} % ({100 * low:.1f}–{100 * high:.1f})"
        for name, (mean, low, high) in evaluated.record["scores"].items()
    )
    made = f"Round {version.tags['iteration']}. " if "iteration" in version.tags else ""
    return f"{made}Latest evaluation, with its 95 % interval: {scores}."
