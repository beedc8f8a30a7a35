"""A compiled pipeline, read from a file or from the server: its inputs, tasks, images and options."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from agent0.errors import UsageError
from agent0.storage.text_files import parse_yaml, read_text
from agent0.storage.uri_files import read_file

_IMAGE_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['(pipelinechannel--)?(?P<name>\w+)'\]\}\}")
_ITERATION = re.compile(r"iteration(-\d+)?")


@dataclass(frozen=True)
class Input:
    """One run parameter as the pipeline declares it; `type` is the name in the pipeline spec, such as `STRUCT`."""

    name: str
    type: str
    default: Any
    required: bool
    description: str
    literals: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Task:
    """A task of the unrolled pipeline: its keys from the root, and its executor if it runs a container of its own.

    `times` is how often a run runs it, loops around it multiplied; one over what only the run decides counts once.
    """

    path: tuple[str, ...]
    spec: Mapping[str, Any]
    executor: str
    times: int

    @property
    def name(self) -> str:
        """The last key: what the server calls the task."""
        return self.path[-1]


@dataclass(frozen=True)
class Package:
    """A compiled pipeline in the JSON form of its protocol buffers, so that equal pipelines are equal."""

    spec: dict[str, Any]
    platform: dict[str, Any]

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def is_ours(self) -> bool:
        """Whether it is a pipeline of Agent0, whose parameters mean what the settings of their names mean."""
        return self.name.startswith("agent0-")

    @property
    def description(self) -> str:
        """The pipeline's description."""
        return str(self.spec["pipelineInfo"].get("description", ""))

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """The run parameters, by name."""
        declared = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return {
            name: Input(
                name=name,
                type=entry["parameterType"],
                default=whole_numbers(entry.get("defaultValue")),
                required=not entry.get("isOptional") and "defaultValue" not in entry,
                description=entry.get("description", ""),
                literals=tuple(entry.get("literals", ())),
            )
            for name, entry in sorted(declared.items())
        }

    @cached_property
    def tasks(self) -> list[Task]:
        """Every task with nested pipelines unrolled, in alphabetical order of each level."""
        return list(self._walk(self.spec["root"], (), 1))

    @property
    def containers(self) -> list[Task]:
        """The tasks that run a container."""
        return [task for task in self.tasks if task.executor]

    @property
    def expected_tasks(self) -> dict[str, int]:
        """How many tasks of each name that run a container a run has at least, in the pipeline's order."""
        counts: Counter[str] = Counter()
        for task in self.containers:
            counts[task.name] += task.times
        return dict(counts)

    @property
    def iterations(self) -> int:
        """How many rounds of co-evolution are unrolled in it; 0 for a pipeline without."""
        return sum(_ITERATION.fullmatch(task.name) is not None and not task.executor for task in self.tasks)

    @property
    def images(self) -> dict[str, str]:
        """The image of each executor; where a run parameter names it, that parameter's default."""
        return self._images({})

    def unpinned_images(self, values: Mapping[str, Any]) -> list[str]:
        """The images of a run with these parameters that are named by a tag, which may come to mean another image."""
        return sorted({image for image in self._images(values).values() if "@sha256:" not in image})

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        canonical = json.dumps([self.spec, self.platform], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def as_struct(self) -> dict[str, Any]:
        """The form in which a run carries a pipeline."""
        return {"pipeline_spec": self.spec, "platform_spec": self.platform} if self.platform else self.spec

    def _images(self, values: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for name, executor in self.spec["deploymentSpec"].get("executors", {}).items():
            image = executor.get("container", {}).get("image", "")
            parameter = _IMAGE_PARAMETER.fullmatch(image)
            if parameter and (declared := self.inputs.get(parameter["name"])):
                image = values.get(declared.name, declared.default) or image
            if image:
                found[name] = image
        return found

    def _walk(self, component: Mapping[str, Any], path: tuple[str, ...], times: int) -> Iterator[Task]:
        for key, spec in sorted(component.get("dag", {}).get("tasks", {}).items()):
            child = self.spec.get("components", {}).get(spec["componentRef"]["name"], {})
            items = spec.get("parameterIterator", {}).get("items", {})
            within = times * (len(json.loads(items["raw"])) if "raw" in items else 1)
            yield Task((*path, key), spec, child.get("executorLabel", ""), within)
            yield from self._walk(child, (*path, key), within)


def names_file(reference: str) -> bool:
    """Say whether what a person wrote names a compiled file, not a pipeline on the server."""
    return reference.endswith((".yaml", ".yml")) or Path(reference).is_file()


def read_package(place: str) -> Package:
    """Read a file of `agent0 pipeline compile`, local or `s3://`.

    Raises:
        UsageError: there is none, or it holds no compiled pipeline.
    """
    advice = "`agent0 pipeline compile` writes such a file"
    with read_file(place) as path:
        text = read_text(path, place, mended_by=advice)
    documents = [document for document in parse_yaml(text, place, mended_by=advice) if document]
    specs = [document for document in documents if isinstance(document, dict) and "pipelineInfo" in document]
    platforms = [document for document in documents if isinstance(document, dict) and "platforms" in document]
    if len(specs) != 1 or len(platforms) > 1 or len(specs) + len(platforms) != len(documents):
        raise UsageError(f"{place} holds no compiled pipeline; write one with `agent0 pipeline compile`.")
    return _parsed(specs[0], platforms[0] if platforms else {}, place)


def package_of(struct: Mapping[str, Any], where: str) -> Package:
    """Read what the server keeps as a version's or run's pipeline; `where` names it in an error."""
    if "pipeline_spec" in struct:
        return _parsed(struct["pipeline_spec"], struct.get("platform_spec") or {}, where)
    return _parsed(struct, {}, where)


def _parsed(spec: Mapping[str, Any], platform: Mapping[str, Any], where: str) -> Package:
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    try:
        messages = (
            json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec()),
            json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec()),
        )
    except json_format.ParseError as error:
        raise UsageError(f"{where} holds no valid pipeline: {error}") from error
    normal, extra = (json_format.MessageToDict(message) for message in messages)
    if "root" not in normal or not normal.get("pipelineInfo", {}).get("name"):
        raise UsageError(f"{where} holds no valid pipeline: it has no name or no root.")
    return Package(normal, extra)


def whole_numbers(value: Any) -> Any:
    """Write numbers without a fraction as integers, and keys in order; a protocol buffer knows floats and no order."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole_numbers(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return value
