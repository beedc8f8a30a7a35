"""Where a version of a registered model comes from; this module does not import mlflow."""

from __future__ import annotations

from dataclasses import dataclass


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
