"""What differs between two compiled pipelines: parameters, images, tasks, options."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent0.kubeflow.compiled_pipeline import Package
from agent0.nested_values import leaves

_TASK_OPTIONS = ("cachingOptions", "retryPolicy", "parameterIterator", "iteratorPolicy", "triggerPolicy")
_CONTAINER_OPTIONS = ("resources", "env", "command", "args")


@dataclass(frozen=True)
class Difference:
    """One thing that the two sides have otherwise: `old` or `new` is None where a side does not have it."""

    kind: str
    where: str
    old: str | None
    new: str | None


def compare_packages(old: Package, new: Package) -> list[Difference]:
    """Return the differences, sorted by kind and place; none for equal pipelines."""
    found: list[Difference] = []
    for kind, view in (("parameter", _parameters), ("image", _images), ("task", _tasks), ("option", _options)):
        before, after = view(old), view(new)
        for where in sorted({*before, *after}):
            if before.get(where) != after.get(where):
                found.append(Difference(kind, where, before.get(where), after.get(where)))
    if not found and old != new:
        found.append(Difference("rest", "see --raw", None, None))
    return found


def raw_difference(old: Package, new: Package, labels: tuple[str, str]) -> Iterator[str]:
    """Yield the lines of a unified diff of the two pipelines as YAML."""
    import yaml

    before, after = (
        yaml.safe_dump_all([part for part in (package.spec, package.platform) if part], sort_keys=True).splitlines()
        for package in (old, new)
    )
    return difflib.unified_diff(before, after, *labels, lineterm="")


def _parameters(package: Package) -> dict[str, str]:
    """Return type and default of each run parameter, with the keys of a STRUCT one by one."""
    rows: dict[str, str] = {}
    for name, item in package.inputs.items():
        if item.required:
            rows[name] = f"{item.type}, required"
        elif isinstance(item.default, dict) and item.default:
            rows.update({name: item.type, **_flat(item.default, name)})
        else:
            rows[name] = f"{item.type} {json.dumps(item.default, ensure_ascii=False, sort_keys=True)}"
    return rows


def _images(package: Package) -> dict[str, str]:
    return dict(package.images)


def _tasks(package: Package) -> dict[str, str]:
    """Return for each task where its inputs come from."""
    rows = {}
    for task in package.tasks:
        after = ", ".join(task.spec.get("dependentTasks", ())) or "the start"
        rows["/".join(task.path)] = f"after {after}"
    return rows


def _options(package: Package) -> dict[str, str]:
    """Return caching, retries, resources, commands and everything for Kubernetes, by dotted place."""
    rows: dict[str, str] = {}
    for task in package.tasks:
        for key in _TASK_OPTIONS:
            if key in task.spec:
                rows.update(_flat(task.spec[key], f"{'/'.join(task.path)} {key}"))
    for name, executor in package.spec["deploymentSpec"].get("executors", {}).items():
        container = executor.get("container", {})
        for key in _CONTAINER_OPTIONS:
            if key in container:
                rows.update(_flat(container[key], f"{name} {key}"))
    for platform, spec in package.platform.get("platforms", {}).items():
        for name, settings in spec.get("deploymentSpec", {}).get("executors", {}).items():
            rows.update(_flat(settings, f"{name} {platform}"))
        rows.update(_flat({key: value for key, value in spec.items() if key != "deploymentSpec"}, platform))
    return rows


def _flat(value: Any, place: str) -> dict[str, str]:
    """Return the leaves of nested objects by dotted place; a list is one leaf."""
    return {
        name: json.dumps(leaf, ensure_ascii=False, sort_keys=True)  # a protocol buffer has its own order
        for name, leaf in leaves({place: value})
        if leaf != {}
    }
