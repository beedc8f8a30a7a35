"""Where a version of a registered model comes from, and how it was evaluated; this module does not import mlflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVALUATION_TAG = "evaluation."
"""Begins the name of a version's tag that tells of an evaluation; the key of its setting follows."""


@dataclass(frozen=True)
class Origin:
    """Where a version comes from, kept as its tags.

    Attributes:
        model_sha256: `agent0.storage.digest.model_digest` of its files.
        parent_sha256: the same of the model that it was trained from.
        tasks_sha256: digest of the tasks that it was trained on; "" for a curriculum agent, which makes its own.
        iteration: number of the round.
        evolution_run_id: MLflow run of the evolution.
        code_version: `agent0.storage.digest.code_version` of the code that trained it.
        image_digest: of the container image; "" outside a container.
    """

    model_sha256: str
    parent_sha256: str
    tasks_sha256: str
    iteration: int
    evolution_run_id: str
    code_version: str
    image_digest: str

    def tags(self) -> dict[str, str]:
        """Return the tags of the version, without those that are not known."""
        return {name: str(value) for name, value in vars(self).items() if value != ""}


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of a model that is registered, or will be when this is delivered.

    Attributes:
        model_sha256: see `Origin`.
        iteration: see `Origin`; 0 for a model that no round of an evolution made.
        evolution_run_id: see `Origin`.
        key: stands for everything that two evaluations must share to be compared.
        record: what is written down of it, but for its place.
        folder: where it lies on this machine.
        uri: where it is stored for others.
        files: files and folders in it that are its record.
    """

    model_sha256: str
    iteration: int
    evolution_run_id: str
    key: str
    record: Mapping[str, Any]
    folder: Path
    uri: str
    files: tuple[str, ...]
