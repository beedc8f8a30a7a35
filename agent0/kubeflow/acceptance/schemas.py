"""Kubernetes' schema of a pod: validation, lists whose entries have keys, and the strategic merge of a patch.

The schemas are those of Kubernetes' OpenAPI document, in the strict form in which an unknown field is an error. The
same document says by which key the entries of a list are told apart, and how a patch of a list is merged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

_POD = "io.k8s.api.core.v1.Pod"
_PREFIX = "#/$defs/"
_MERGE_KEY, _STRATEGY = "x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy"
_MAP_KEYS = "x-kubernetes-list-map-keys"
_DEFAULTS = {"protocol": "TCP"}
"""Values of keys that Kubernetes fills in before it compares entries."""


@cache
def pod_schema(version: str) -> PodSchema:
    """Return the schema of pods in a version of Kubernetes, such as `1.34`; read once per process."""
    return PodSchema(version)


class PodSchema:
    """What Kubernetes' own document says of pods.

    Args:
        version: of Kubernetes, as two numbers.
    """

    def __init__(self, version: str) -> None:
        folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
        self._document = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))

    def errors(self, pod: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with a pod, each with its dotted place."""
        for error in self._validator.iter_errors(pod):
            yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        yield from self._twins(pod, self._definition(_POD), "")

    def merged(self, spec: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
        """Return a pod's specification with a strategic merge patch over it, as `kubectl patch` and Argo merge it."""
        merged: dict[str, Any] = self._merged(spec, patch, self._definition(_POD)["properties"]["spec"])
        return merged

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator

        return Draft202012Validator({**self._document, "$ref": f"{_PREFIX}{_POD}"})

    def _definition(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._document["$defs"][name]
        return found

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = schema.get("$ref", "")
        return self._definition(reference.removeprefix(_PREFIX)) if reference else schema

    def _property(self, schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._resolved(schema).get("properties", {}).get(name, {})
        return found

    def _twins(self, value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
        """Yield the entries of list-maps that have the same key."""
        if isinstance(value, Mapping):
            for name, item in value.items():
                yield from self._twins(item, self._property(schema, name), f"{place}.{name}" if place else name)
        elif isinstance(value, list):
            items = schema.get("items", {})
            if keys := schema.get(_MAP_KEYS):
                names = Counter(tuple(item.get(key, _DEFAULTS.get(key)) for key in keys) for item in value)
                for name, count in names.items():
                    if count > 1:
                        yield f"{place}: {count} entries with {', '.join(keys)} {', '.join(map(str, name))}"
            for index, item in enumerate(value):
                yield from self._twins(item, items, f"{place}.{index}")

    def _merged(self, original: Any, patch: Any, schema: Mapping[str, Any]) -> Any:
        if isinstance(original, Mapping) and isinstance(patch, Mapping):
            merged = dict(original)
            for name, item in patch.items():
                under = self._property(schema, name)
                merged[name] = self._merged(merged[name], item, under) if name in merged else item
                if isinstance(item, list) and "merge" in under.get(_STRATEGY, ""):
                    merged[name] = self._merged_list(original.get(name) or [], item, under)
            return merged
        return patch

    def _merged_list(self, original: list[Any], patch: list[Any], schema: Mapping[str, Any]) -> list[Any]:
        """Merge the entries of a patch one by one into those that are there, its own earlier ones included."""
        merged, key = list(original), schema.get(_MERGE_KEY)
        for item in patch:
            index = next((i for i, other in enumerate(merged) if key and other.get(key) == item.get(key)), None)
            if index is None:
                merged.append(item)
            else:
                merged[index] = self._merged(merged[index], item, schema.get("items", {}))
        return merged
