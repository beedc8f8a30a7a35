"""`metadata.yaml` and `OWNERS` of a component, held to what kubeflow/pipelines-components accepts.

The rules are those of its scripts/validate_metadata: no field but these, the required ones in this order, versions as
semver has them, a timestamp with a time zone, at least one approver.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

COMPONENTS = Path(__file__).parents[2] / "components"
REQUIRED = ["name", "stability", "dependencies", "lastVerified"]
Model = TypeVar("Model", bound=BaseModel)


class Entry(BaseModel):
    """Part of a file: no unknown fields, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Dependency(Entry):
    """Something that must be there, and its version."""

    name: str
    version: Annotated[str, Field(pattern=r"^(>=|<=|==)?\d+\.\d+\.\d+$")]


class Dependencies(Entry):
    """What of Kubeflow is needed, and what beside it."""

    kubeflow: Annotated[list[Dependency], Field(min_length=1)]
    external_services: list[Dependency] = []


class Metadata(Entry):
    """`metadata.yaml`."""

    name: str
    stability: Literal["experimental", "alpha", "beta", "stable"]
    dependencies: Dependencies
    tags: list[str] = []
    last_verified: AwareDatetime = Field(alias="lastVerified")
    ci: dict[Literal["skip_dependency_probe"], bool] = {}
    links: dict[str, str] = {}


class Owners(Entry):
    """`OWNERS`, as Prow reads it."""

    approvers: Annotated[list[str], Field(min_length=1)]
    reviewers: list[str] = []


def component_names() -> list[str]:
    """Return the folders that hold a component, in order."""
    return sorted(path.parent.name for path in COMPONENTS.glob("*/component.py"))


def read_metadata(folder: Path) -> Metadata:
    """Read a component's `metadata.yaml`.

    Raises:
        ValueError: the catalogue would refuse it.
    """
    path = folder / "metadata.yaml"
    content = _load(path)
    metadata = _parse(Metadata, content, path)
    order = [field for field in content if field in REQUIRED]
    if order != REQUIRED:
        raise ValueError(f"{path} has its fields in the order {', '.join(order)}; write {', '.join(REQUIRED)}.")
    if metadata.name != folder.name:
        raise ValueError(f"{path} names the component {metadata.name!r}; write {folder.name!r}, as its folder.")
    if "Pipelines" not in {dependency.name for dependency in metadata.dependencies.kubeflow}:
        raise ValueError(f"{path} does not need Kubeflow Pipelines; add it under dependencies.kubeflow.")
    return metadata


def read_owners(folder: Path) -> Owners:
    """Read a component's `OWNERS`.

    Raises:
        ValueError: the catalogue would refuse it.
    """
    path = folder / "OWNERS"
    return _parse(Owners, _load(path), path)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"{path} is missing; write it after that of another component.")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _parse(model: type[Model], content: Any, path: Path) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}" for fault in error.errors()]
        raise ValueError(f"{path} would be refused: {'; '.join(faults)}.") from error
