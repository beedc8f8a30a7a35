"""What a Kubernetes API server refuses in a custom resource, by the schema of its published definition.

Definitions are not kept here: `definition` reads them from the folder `shared/reference` above the checkout, or the
one in AGENT0_REFERENCE, and skips the test where there is none. Of the rules in CEL those are known that our objects
meet; an unknown one is a violation, so that nobody takes it for checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES: dict[str, Callable[[Any], bool]] = {
    "self == oldSelf": lambda _: True,
    "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')": lambda value: (
        re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", value["metadata"]["name"]) is not None
    ),
    "size(self.metadata.name) <= 63": lambda value: len(value["metadata"]["name"]) <= 63,
    "!(has(self.replicas) && has(self.scaling))": lambda value: not {"replicas", "scaling"} <= set(value),
}
TYPES = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "enum": lambda value, allowed: value in allowed,
    "pattern": lambda value, pattern: re.search(pattern, str(value)) is not None,
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "minLength": lambda value, limit: len(value) >= limit,
    "maxLength": lambda value, limit: len(value) <= limit,
    "maxItems": lambda value, limit: len(value) <= limit,
    "minItems": lambda value, limit: len(value) >= limit,
}


def definition(name: str, version: str) -> dict[str, Any]:
    """Return the schema of one version of a published definition; skip the test where it is not at hand."""
    file = reference(f"{name}.yaml")
    found = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    (served,) = (item for item in found["spec"]["versions"] if item["name"] == version)
    schema: dict[str, Any] = served["schema"]["openAPIV3Schema"]
    return schema


def reference(name: str, kind: str = "reference") -> Path:
    """Return a published file of a `kind` of folder; skip the test where it is not at hand."""
    folders = [parent / "shared" / kind for parent in Path(__file__).parents]
    folders += [Path(os.environ["AGENT0_REFERENCE"])] if "AGENT0_REFERENCE" in os.environ else []
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        pytest.skip(f"{name} is not here; AGENT0_REFERENCE names its folder")
    return found


def violations(value: Any, schema: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield what is wrong with a value, each with its place."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, str | int):
            yield f"{place}: {value!r} is neither a number nor a string"
    elif kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{place}: {value!r} is no {kind}"
        return
    limits = {name: schema[name] for name in LIMITS if name in schema}
    yield from (f"{place}: {name} {limit}" for name, limit in limits.items() if not LIMITS[name](value, limit))
    for rule in (item["rule"] for item in schema.get("x-kubernetes-validations", ())):
        if rule not in RULES:
            yield f"{place}: unknown rule {rule}"
        elif not RULES[rule](value):
            yield f"{place}: {rule}"
    if isinstance(value, dict):
        yield from _object(value, schema, place)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), f"{place}[{number}]")
        if schema.get("x-kubernetes-list-type") == "map":
            keys = [tuple(item.get(key) for key in schema["x-kubernetes-list-map-keys"]) for item in value]
            yield from (f"{place}: duplicate {key}" for key in sorted({key for key in keys if keys.count(key) > 1}))


def list_maps(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each list that is keyed, and its key."""
    if schema.get("x-kubernetes-list-type") == "map":
        yield place, ",".join(schema["x-kubernetes-list-map-keys"])
    for name, inner in schema.get("properties", {}).items():
        yield from list_maps(inner, f"{place}.{name}" if place else name)
    if "items" in schema:
        yield from list_maps(schema["items"], place)


def _object(value: dict[str, Any], schema: dict[str, Any], place: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    closed = place != "metadata" and "type" in schema and not schema.get("x-kubernetes-preserve-unknown-fields")
    yield from (f"{place}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, inner in value.items():
        where = f"{place}.{name}" if place else name
        if name in properties:
            yield from violations(inner, properties[name], where)
        elif isinstance(others, dict):
            yield from violations(inner, others, where)
        elif closed:
            yield f"{where} is unknown"
