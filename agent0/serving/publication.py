"""A version of MLflow's registry, published in Kubeflow's model registry: once, with where it comes from.

A published version carries the sha256 of the files, so that the same one is known again. What an earlier attempt left
half done, a model without the version or a version without its artifact, is completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent0.evaluation.registered_evaluations import recorded_evaluations
from agent0.serving.model_registry import ModelRegistry, PublicationError, Resource, properties
from agent0.tracking.model_uri import ModelUri, parse_model_uri
from agent0.tracking.tracking_location import tracking_uri

if TYPE_CHECKING:
    from agent0.tracking.registry import Version

SHA256 = "model_sha256"
FORMAT = "safetensors"
SOURCE = "agent0"
TAGS = ("parent_sha256", "parent_version", "tasks_sha256", "iteration", "evolution_run_id", "code_version")
MORE_TAGS = ("image_digest", "decision", "decision_reason")


@dataclass(frozen=True)
class Published:
    """What became of a version, and the sentence that says so.

    Attributes:
        model: name in both registries.
        version: number in both.
        new: whether anything was made.
        told: the sentence.
    """

    model: str
    version: str
    new: bool
    told: str


def publish_version(model: str, registry: str, author: str) -> Published:
    """Publish a version of MLflow's registry unless it is published.

    Args:
        model: URI of the version.
        registry: address of Kubeflow's model registry.
        author: who it is published as.

    Raises:
        UsageError: no URI, or no address.
        RegistryError: no such version, or MLflow refuses or does not answer.
        PublicationError: Kubeflow's registry refuses or does not answer, or has another model under that number.
    """
    from agent0.tracking.mlflow_runs import open_client
    from agent0.tracking.model_fetching import digest_of
    from agent0.tracking.registry import resolve

    kubeflow = ModelRegistry(registry)
    version = resolve(open_client(tracking_uri()), parse_model_uri(model))
    uri = str(ModelUri(version.name, version=str(version.version)))
    sha256 = digest_of(version)
    values = properties(facts(version))
    parent = kubeflow.model(version.name) or kubeflow.add_model(
        {"name": version.name, "owner": author, "description": "Grown by Agent0; a version for each iteration."}
    )
    number = str(version.version)
    found = kubeflow.version(parent["id"], number)
    made = found is None
    if found is None:
        described = {"name": number, "author": author, "description": f"{uri} of MLflow", "customProperties": values}
        found = kubeflow.add_version(parent["id"], described)
    _check_same(found, sha256, f"version {number} of {version.name} at {registry}")
    if not any(item.get("uri") == version.source for item in kubeflow.artifacts(found["id"])):
        made = True
        kubeflow.add_artifact(found["id"], _artifact(version, uri))
    told = f"{uri} {'is now' if made else 'was already'} published as version {number} of {version.name} at {registry}."
    return Published(version.name, number, made, told)


def facts(version: Version) -> dict[str, str | float]:
    """Return what is published of a version: digest, lineage, code, run, and its scores by benchmark."""
    tags: Mapping[str, str] = version.tags
    found: dict[str, str | float] = {SHA256: tags[SHA256], "mlflow_run_id": str(version.run_id or "")}
    found |= {name: tags[name] for name in (*TAGS, *MORE_TAGS) if tags.get(name)}
    for recorded in reversed(recorded_evaluations(version).values()):  # the newest of a benchmark counts
        for benchmark, (mean, low, high) in recorded.scores.items():
            found |= {f"eval/{benchmark}": mean, f"eval/{benchmark}_low": low, f"eval/{benchmark}_high": high}
    return {name: value for name, value in found.items() if value != ""}


def _artifact(version: Version, uri: str) -> Resource:
    return {
        "name": f"{version.name}-{version.version}",
        "uri": version.source,
        "modelFormatName": FORMAT,
        "modelFormatVersion": "1",
        "modelSourceKind": "mlflow",
        "modelSourceClass": SOURCE,
        "modelSourceName": uri,
        "modelSourceId": str(version.run_id or ""),
    }


def _check_same(found: Resource, sha256: str, what: str) -> None:
    theirs = found.get("customProperties", {}).get(SHA256, {}).get("string_value", "")
    if theirs != sha256:
        raise PublicationError(
            f"There is another model as {what}: its sha256 is {theirs[:12] or 'not told'}, and this one's is "
            f"{sha256[:12]}. Nothing was published; use a registry of its own for this MLflow, or another name."
        )
