"""A pipeline's tasks with their inputs, resolved as the server's driver resolves them before each pod.

The driver looks an input up among the parameters and artifacts of the pipeline around the task, and only there
(backend/src/v2/driver/resolve.go, `resolveInputs`). What is not there ends the run, and so it is a finding here. Values
that only a run makes, the outputs of tasks and the items of lists that tasks make, stay unknown; their types are known.
Conditions of triggers are not evaluated, since these pipelines have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent0.kubeflow.acceptance.rule_finding import Finding
from agent0.kubeflow.compiled_pipeline import Package

JOB_NAMES = {
    "{{$.pipeline_job_name}}": "the run's display name",
    "{{$.pipeline_job_resource_name}}": "the workflow's name",
    "{{$.pipeline_job_uuid}}": "00000000-0000-4000-8000-000000000000",
    "{{$.pipeline_task_name}}": "the task's name",
    "{{$.pipeline_task_uuid}}": "1",
    "{{$.pipeline_job_create_time_utc}}": "2026-01-01T00:00:00Z",
    "{{$.pipeline_job_schedule_time_utc}}": "2026-01-01T00:00:00Z",
}
"""Placeholders that the driver fills in for any run, with a value of the same form."""
CHANNEL = "pipelinechannel--"
"""What Kubeflow's compiler puts before the name of a parameter that it hands down."""
_FILLED_LATER = ("TASK_CONFIG",)
_STRUCTS = ("STRUCT", "TASK_FINAL_STATUS", "TASK_CONFIG")


@dataclass(frozen=True)
class Unknown:
    """A value that only the run knows: where it comes from, and its type in the specification, '' for any."""

    source: str
    type: str = ""

    def __str__(self) -> str:
        return f"<{self.source}>"


@dataclass(frozen=True)
class ResolvedTask:
    """A task that runs a container.

    Attributes:
        path: the task's keys from the root.
        spec: the task as the pipeline holds it.
        component: the specification of its component.
        executor: name of what it runs.
        container: image, command and resources of it.
        inputs: values of the task's own parameters, by which the driver finds a cached result.
        around: values of the pipeline around it, where Kubernetes' settings are looked up.
        copies: how many pods of it one run has, with each loop of unknown length counted as one.
        counted: whether that number is known.
    """

    path: tuple[str, ...]
    spec: Mapping[str, Any]
    component: Mapping[str, Any]
    executor: str
    container: Mapping[str, Any]
    inputs: Mapping[str, Any]
    around: Mapping[str, Any]
    copies: int
    counted: bool

    @property
    def name(self) -> str:
        """The task's keys, for people."""
        return "/".join(self.path)


@dataclass(frozen=True)
class Resolution:
    """The tasks that could be resolved, in the order of their names at each level, and what could not be."""

    tasks: tuple[ResolvedTask, ...]
    findings: tuple[Finding, ...]


def resolve(package: Package, values: Mapping[str, Any], rounds: Mapping[str, int]) -> Resolution:
    """Resolve every task of a pipeline, at every depth and in loops.

    Args:
        package: the pipeline.
        values: run parameters that replace the pipeline's defaults.
        rounds: how often loops run whose lists only a run makes, by the list's name; once where it is not named.
    """
    parameters = {
        name: values.get(
            name, Unknown("a value that the run must be given", item.type) if item.required else item.default
        )
        for name, item in package.inputs.items()
    }
    root = package.spec["root"]
    artifacts = frozenset(root.get("inputDefinitions", {}).get("artifacts", {}))
    resolver = _Resolver(package, rounds)
    tasks = tuple(resolver.walk(root, _Place((), parameters, artifacts, 1, True)))
    return Resolution(tasks, tuple(dict.fromkeys(resolver.findings)))


@dataclass(frozen=True)
class _Place:
    """The pipeline around tasks: its keys from the root, its inputs, and how often it runs."""

    path: tuple[str, ...]
    parameters: Mapping[str, Any]
    artifacts: frozenset[str]
    copies: int
    counted: bool
    within: tuple[str, ...] = ()


class _Resolver:
    def __init__(self, package: Package, rounds: Mapping[str, int]) -> None:
        self._rounds = rounds
        self._components = package.spec.get("components", {})
        self._executors = package.spec["deploymentSpec"].get("executors", {})
        self.findings: list[Finding] = []

    def walk(self, component: Mapping[str, Any], place: _Place) -> Iterator[ResolvedTask]:
        """Yield the tasks of a component's pipeline and of those nested in it."""
        tasks = component.get("dag", {}).get("tasks", {})
        for key, task in sorted(tasks.items()):
            path, name = (*place.path, key), task["componentRef"]["name"]
            if name not in self._components or name in place.within:
                self._say("inputs-exist", path, f"its component {name} is not in the pipeline, or contains itself.")
                continue
            child = self._components[name]
            inputs = dict(self._parameters(task, child, tasks, place, path))
            artifacts = frozenset(self._artifacts(task, tasks, place, path))
            within = (*place.within, name)
            inner = self._iterated(task, inputs, _Place(path, inputs, artifacts, place.copies, place.counted, within))
            self._check_types(child, inner.parameters, path, task.get("parameterIterator", {}))
            if executor := child.get("executorLabel"):
                around = place if inner.parameters is inputs else inner
                found = self._executors.get(executor)
                if found is None:
                    self._say("inputs-exist", path, f"what it runs, {executor}, is not in the pipeline.")
                elif container := found.get("container"):  # else an importer, which is the driver's own work
                    yield ResolvedTask(
                        path, task, child, executor, container, inputs, around.parameters, inner.copies, inner.counted
                    )
            else:
                yield from self.walk(child, inner)

    def _say(self, rule: str, path: Iterable[str], message: str) -> None:
        self.findings.append(Finding(rule, "/".join(path), message))

    def _parameters(
        self, task: Mapping[str, Any], child: Mapping[str, Any], tasks: Mapping[str, Any], place: _Place, path: Any
    ) -> Iterator[tuple[str, Any]]:
        declared = child.get("inputDefinitions", {}).get("parameters", {})
        given = task.get("inputs", {}).get("parameters", {})
        for name, spec in sorted(given.items()):
            if declared.get(name, {}).get("parameterType") in _FILLED_LATER:
                continue
            value = self._value(spec, name, tasks, task, place, path)
            yield name, Unknown(f"a part of {name}") if "parameterExpressionSelector" in spec else value
        for name, item in sorted(declared.items()):
            if "dag" in child and name not in given and item.get("isOptional"):
                yield name, item.get("defaultValue")  # as the driver of a nested pipeline does

    def _value(
        self,
        spec: Mapping[str, Any],
        name: str,
        tasks: Mapping[str, Any],
        task: Mapping[str, Any],
        place: _Place,
        path: Any,
    ) -> Any:
        if "componentInputParameter" in spec:
            source = spec["componentInputParameter"]
            if source not in place.parameters:
                self._say(
                    "inputs-exist",
                    path,
                    f"its input {_plain(name)} is taken from {_plain(source)}, which the pipeline around it does "
                    "not have, so the driver ends the run there (parent DAG does not have input parameter). Compile it "
                    "anew; in one of your own, register the channel with task.register_pipeline_channels.",
                )
                return Unknown(f"missing {source}")
            return place.parameters[source]
        if "taskOutputParameter" in spec:
            output = spec["taskOutputParameter"]
            return self._output(output["producerTask"], output["outputParameterKey"], "parameters", tasks, name, path)
        if "taskFinalStatus" in spec:
            if not task.get("dependentTasks"):
                self._say("inputs-exist", path, f"its input {name} is the status of a task, and it depends on none.")
            return Unknown("the status of the tasks before", "TASK_FINAL_STATUS")
        constant = spec.get("runtimeValue", {}).get("constant")
        return JOB_NAMES.get(constant, constant) if isinstance(constant, str) else constant

    def _artifacts(self, task: Mapping[str, Any], tasks: Mapping[str, Any], place: _Place, path: Any) -> Iterator[str]:
        for name, spec in sorted(task.get("inputs", {}).get("artifacts", {}).items()):
            yield name
            if "componentInputArtifact" in spec:
                source = spec["componentInputArtifact"]
                if source not in place.artifacts:
                    self._say(
                        "inputs-exist",
                        path,
                        f"its artifact {name} is taken from {source}, which the pipeline around it does not have, so "
                        "the driver ends the run there (parent DAG does not have input artifact). Compile it anew.",
                    )
            else:
                output = spec["taskOutputArtifact"]
                self._output(output["producerTask"], output["outputArtifactKey"], "artifacts", tasks, name, path)

    def _output(self, producer: str, key: str, kind: str, tasks: Mapping[str, Any], name: str, path: Any) -> Unknown:
        """Return an output of a task beside this one, after a look whether it has it."""
        if producer not in tasks:
            self._say(
                "inputs-exist", path, f"its input {name} is an output of {producer}, a task that is not beside it."
            )
            return Unknown(f"missing {producer}")
        component = self._components.get(tasks[producer]["componentRef"]["name"], {})
        outputs = component.get("outputDefinitions", {}).get(kind, {})
        if key not in outputs:
            self._say(
                "inputs-exist", path, f"its input {name} is the output {key} of {producer}, which makes no such one."
            )
        return Unknown(f"{key} of {producer}", outputs.get(key, {}).get("parameterType", ""))

    def _iterated(self, task: Mapping[str, Any], inputs: dict[str, Any], place: _Place) -> _Place:
        """Return what is around the tasks of a loop in one of its rounds; of no loop, `place` itself."""
        if "artifactIterator" in task:
            self._say("inputs-exist", place.path, "a loop over artifacts is something that the driver does not know.")
            return place
        if "parameterIterator" not in task:
            return place
        loop = task["parameterIterator"]
        source = loop["items"].get("inputParameter", "")
        items = inputs.get(source) if source else self._listed(loop["items"]["raw"], place.path)
        item = items[0] if isinstance(items, list) and items else Unknown(f"an item of {source or 'a list'}")
        count = len(items) if isinstance(items, list) else self._rounds.get(source.removeprefix(CHANNEL), 0)
        inner = {**{name: value for name, value in inputs.items() if name != source}, loop["itemInput"]: item}
        copies, counted = place.copies * max(1, count), place.counted and count > 0
        return _Place(place.path, inner, place.artifacts, copies, counted, place.within)

    def _listed(self, text: str, path: Iterable[str]) -> Any:
        """Return the list that a loop has as text."""
        try:
            return json.loads(text)
        except ValueError:
            self._say("input-types", path, f"the list of its loop is no JSON: {text[:60]!r}.")
            return None

    def _check_types(
        self, component: Mapping[str, Any], values: Mapping[str, Any], path: Any, loop: Mapping[str, Any]
    ) -> None:
        """Compare values with the types that a component declares, as `handleParamTypeValidationAndConversion` does.

        Within a loop the list is gone, of which each round has one item.
        """
        taken = loop.get("items", {}).get("inputParameter", "")
        for name, item in sorted(component.get("inputDefinitions", {}).get("parameters", {}).items()):
            kind = item["parameterType"]
            if kind in _FILLED_LATER or name == taken:
                continue
            if name not in values:
                if not item.get("isOptional") and "defaultValue" not in item:
                    self._say("inputs-exist", path, f"its input {name} has neither a value nor a default.")
            elif values[name] is None and not item.get("isOptional"):
                self._say("inputs-exist", path, f"its input {_plain(name)} needs a value and is given none.")
            elif values[name] is not None and kind != "STRING" and not _fits(values[name], kind):
                self._say(
                    "input-types", path, f"its input {name} must be {kind} and is {json.dumps(str(values[name]))}."
                )


def _plain(name: str) -> str:
    """Return a parameter's name as its author wrote it."""
    return name.removeprefix(CHANNEL)


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, Unknown):
        other = value.type
        return (
            not other
            or other == kind
            or {other, kind} <= set(_STRUCTS)
            or {other, kind}
            <= {
                "NUMBER_INTEGER",
                "NUMBER_DOUBLE",
            }
        )
    if isinstance(value, bool):
        return kind == "BOOLEAN"
    if isinstance(value, int | float):
        return kind in ("NUMBER_INTEGER", "NUMBER_DOUBLE")
    return (isinstance(value, list) and kind == "LIST") or (isinstance(value, dict) and kind in _STRUCTS)
