"""How large the workflow of a run becomes, which Argo keeps in one object of at most 1 MiB.

The object holds the compiled pipeline and the state of every node. Argo compresses the states once the whole is too
large, and ends the run if that does not help (workflow/packer/packer.go). Both parts are written here as the server's
compiler (argocompiler/dag.go) and Argo's controller write them, with texts of the same form and length.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent0.kubeflow.acceptance.pods import Pod
from agent0.kubeflow.acceptance.resolution import ResolvedTask
from agent0.kubeflow.compiled_pipeline import Package

LIMIT_BYTES = 1024 * 1024
_NODE = {
    "id": "agent0-evolution-abcde-1234567890",
    "type": "Pod",
    "templateName": "retry-system-container-impl",
    "templateScope": "local/agent0-evolution-abcde",
    "phase": "Succeeded",
    "boundaryID": "agent0-evolution-abcde-1234567890",
    "startedAt": "2026-01-01T00:00:00Z",
    "finishedAt": "2026-01-01T00:00:00Z",
    "progress": "1/1",
    "resourcesDuration": {"cpu": 10, "memory": 100},
}
_OWN_BYTES = 4000  # metadata, fixed templates' security settings, conditions
_LOG = {"name": "main-logs", "s3": {"key": "private-artifacts/kubeflow/agent0-evolution-abcde/2026/01/01/" + 60 * "x"}}


@dataclass(frozen=True)
class WorkflowSize:
    """Bytes of the compiled pipeline and of the compressed states at the end of a run, and how many pods there are."""

    specification: int
    states: int
    pods: int

    @property
    def total(self) -> int:
        """The largest that the object becomes."""
        return self.specification + self.states


def workflow_size(package: Package, made: Sequence[Pod]) -> WorkflowSize:
    """Return the estimated size of a run's workflow; it was within a few percent of the server's compiler."""
    nodes, pods = {}, 0
    for number, pod in enumerate(made):
        patch = json.dumps(pod.patch, separators=(",", ":"))
        for copy in range(pod.task.copies):
            pods += 2
            for name, node in _nodes(pod.task, patch, f"{number}.{copy}"):
                nodes[_fnv(name)] = node
    ordered = {key: nodes[key] for key in sorted(nodes)}
    packed = base64.b64encode(gzip.compress(json.dumps(ordered, separators=(",", ":")).encode()))
    return WorkflowSize(_specification(package), len(packed) + 60 * pods, pods)


def _nodes(task: ResolvedTask, patch: str, copy: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the nodes that Argo keeps for a task: its driver, what runs it, its retries, and its pod, by name."""
    name = f"agent0-evolution-abcde.root.{'.'.join(task.path)}({copy})"
    given = {"pod-spec-patch": patch, "cached-decision": "false", "retry-max-count": "2"}
    driver = {
        "component": json.dumps(task.component),
        "task": json.dumps(task.spec),
        "container": json.dumps(task.container),
        "task-name": task.path[-1],
    }
    outputs = {"parameters": [_parameter("pod-spec-patch", patch)], "artifacts": [_LOG], "exitCode": "0"}
    yield f"{name}-driver", _node(f"{name}-driver", driver, outputs)
    yield name, _node(name, given, {})
    yield f"{name}.executor", _node(f"{name}.executor", given, {"artifacts": [_LOG]})
    yield f"{name}.executor(0)", _node(f"{name}.executor(0)", given, {"artifacts": [_LOG]})


def _node(name: str, inputs: Mapping[str, str], outputs: Mapping[str, Any]) -> dict[str, Any]:
    parameters = [_parameter(key, value) for key, value in inputs.items()]
    shown = {"name": name, "displayName": name.rpartition(".")[2]}
    return {**_NODE, "id": _fnv(name), **shown, "inputs": {"parameters": parameters}, "outputs": outputs}


def _fnv(name: str) -> str:
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"agent0-evolution-abcde-{value}"


def _parameter(name: str, value: str = "") -> dict[str, str]:
    return {"name": name, "value": value} if value else {"name": name}


def _specification(package: Package) -> int:
    """Return the bytes of the compiled workflow."""
    spec = package.spec
    components = {**spec.get("components", {}), "root": spec["root"]}
    executors = spec["deploymentSpec"].get("executors", {})
    kubernetes = package.platform.get("platforms", {}).get("kubernetes", {})
    settings = kubernetes.get("deploymentSpec", {}).get("executors", {})
    parts: dict[str, Any] = {}
    for name, component in components.items():
        executor = component.get("executorLabel", "")
        container = executors.get(executor, {}).get("container", {})
        key = f"{hash(json.dumps(container)):064x}" if executor else name
        parts.setdefault(f"components-{key}", json.dumps(component, separators=(",", ":")))
        if executor:
            parts.setdefault(f"implementations-{key}", json.dumps(container, separators=(",", ":")))
            parts[f"kubernetes-{name}"] = json.dumps(settings.get(executor, {}), separators=(",", ":"))
    templates = [_template(name, component, components) for name, component in components.items() if "dag" in component]
    defaults = {name: item.default for name, item in package.inputs.items()}
    whole = {
        "arguments": [_parameter(name, value) for name, value in parts.items()],
        "templates": templates,
        "runtime": json.dumps(defaults, separators=(",", ":")),
    }
    return len(json.dumps(whole, separators=(",", ":"))) + _OWN_BYTES


def _template(name: str, component: Mapping[str, Any], components: Mapping[str, Any]) -> list[Any]:
    """Return what stands for one nested pipeline: two steps for each of its tasks, and four for a loop."""
    steps = []
    for key, task in component["dag"]["tasks"].items():
        child = components.get(task["componentRef"]["name"], {})
        text = json.dumps(task, separators=(",", ":"))
        container, looped = "executorLabel" in child, "parameterIterator" in task
        for _ in range(2 if looped else 1):
            steps += [
                _step(key, text, 64 if container else len(task["componentRef"]["name"]), container),
                {"name": key, "arguments": 420 * "x" if container else 230 * "x", "depends": f"{key}-driver.Succeeded"},
            ]
        if looped:
            steps.append({"name": key, "template": 600 * "x"})
    return [name, steps, 150 * "x"]


def _step(key: str, task: str, component: int, container: bool) -> dict[str, Any]:
    arguments = [
        _parameter("component", "{{workflow.parameters.components-" + component * "x" + "}}"),
        _parameter("task", task),
        _parameter("task-name", key),
        _parameter("parent-dag-id", "{{inputs.parameters.parent-dag-id}}"),
    ]
    if container:
        arguments.append(_parameter("container", "{{workflow.parameters.implementations-" + 64 * "x" + "}}"))
        arguments.append(_parameter("kubernetes-config", "{{workflow.parameters.kubernetes-comp-" + key + "}}"))
    template = "system-container-driver" if container else "system-dag-driver"
    waits = " && ".join(f"{dependency}.Succeeded" for dependency in json.loads(task).get("dependentTasks", ()))
    return {"name": f"{key}-driver", "template": template, "arguments": {"parameters": arguments}, "depends": waits}
