"""The nodes that Argo makes of a compiled pipeline: their names, labels, templates and pods.

After `backend/src/v2/compiler/argocompiler` of Kubeflow Pipelines and `workflow/controller` of Argo Workflows. A
container task is a node `NAME-driver` and a node `NAME` that holds one called `executor`; a nested pipeline is
`NAME-driver` and `NAME`; a loop has a node for each item; the exit task hangs at the node that it closes, as
`NAME.onExit`. A template with a retry strategy gives a node that holds its attempts, `NAME(0)` and on. From 2.17 on
the controller's ConfigMap of Kubeflow gives every template one (`workflowDefaults.templateDefaults`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LOOP_ITEMS = 2
EXIT_STRATEGY = "ALL_UPSTREAM_TASKS_COMPLETED"
DAG_DRIVER, CONTAINER_DRIVER = "system-dag-driver", "system-container-driver"


def fnv(text: str) -> int:
    """Return the 32-bit FNV-1a hash of a text."""
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ byte) * 16777619) % 2**32
    return value


@dataclass(frozen=True)
class Part:
    """One node on the way to a task: its own name within what holds it, and its template; none for a group."""

    name: str
    template: str
    kind: str  # dag, loop, group, item, or hook


@dataclass(eq=False)
class Step:
    """One task that runs a container, at its place in the workflow.

    `path` holds the keys of the pipeline's tasks from the root; `place` the same in Argo's names, without attempts.
    """

    name: str
    path: tuple[str, ...]
    above: tuple[Part, ...]
    task: Mapping[str, Any]
    executor: str
    retried: bool
    closing: bool
    state: str = "waiting"  # then running, pending, succeeded, failed, or omitted
    began: int = -1  # the how many-th to begin
    message: str = ""
    broken: bool = False  # its driver failed
    log: str = ""

    @property
    def place(self) -> str:
        return ".".join((*(part.name for part in self.above), self.name))

    @property
    def template(self) -> str:
        """The template of the pod, within that of its executor."""
        return f"{'retry-' if self.retried else ''}system-container-impl"


def steps_of(spec: Mapping[str, Any]) -> list[Step]:
    """Return the tasks in an order in which they can run, nested pipelines and loops unrolled."""
    return list(_walk(spec, spec["root"], (), (Part("root", "root", "dag"),)))


def _walk(
    spec: Mapping[str, Any], component: Mapping[str, Any], path: tuple[str, ...], above: tuple[Part, ...]
) -> Iterator[Step]:
    tasks = component["dag"]["tasks"]
    done: set[str] = set()
    while len(done) < len(tasks):
        ready = [key for key in tasks if key not in done and set(tasks[key].get("dependentTasks", ())) <= done]
        if not ready:
            raise ValueError(f"the tasks of {path} wait for each other")
        for key in sorted(ready):
            done.add(key)
            task = tasks[key]
            closing = task.get("triggerPolicy", {}).get("strategy") == EXIT_STRATEGY
            held = (*above, _hook(task, key)) if closing else above
            for place in _items(key, task, held):
                yield from _task(spec, key, task, (*path, key), place, closing)


def _task(
    spec: Mapping[str, Any], key: str, task: Mapping[str, Any], path: tuple[str, ...], above: Any, closing: bool
) -> Iterator[Step]:
    component = spec["components"][task["componentRef"]["name"]]
    if "dag" in component:
        name = "iteration-item" if above and above[-1].kind == "item" else key
        yield from _walk(spec, component, path, (*above, Part(name, task["componentRef"]["name"], "dag")))
        return
    yield Step(key, path, above, task, component["executorLabel"], "retryPolicy" in task, closing)


def _items(key: str, task: Mapping[str, Any], above: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    """Return what holds a task: for a loop, what holds each of its items."""
    if "parameterIterator" not in task and "artifactIterator" not in task:
        return [above]
    component = task["componentRef"]["name"]
    loop = (*above, Part(key, f"{component}-{key}-iterator", "loop"), Part("iteration-iterations", "", "group"))
    return [
        (*loop, Part(f"iteration-iterations({item}:{item})", f"{component}-iteration", "item"))
        for item in range(LOOP_ITEMS)
    ]


def _hook(task: Mapping[str, Any], key: str) -> Part:
    return Part(f"{task['dependentTasks'][0]}.onExit", f"exit-hook-root-{key}", "hook")


@dataclass(frozen=True)
class Nodes:
    """The nodes of a workflow, as its status holds them by identifier."""

    workflow: str
    found: dict[str, dict[str, Any]]

    def add(self, name: str, boundary: str, kind: str, template: str, rest: Mapping[str, Any]) -> dict[str, Any]:
        """Return the node of a name; it is made if there is none. Its label is its name within the boundary's."""
        identifier = self.workflow if name == self.workflow else f"{self.workflow}-{fnv(name)}"
        if identifier not in self.found:
            label = name.removeprefix(boundary).removeprefix(".")
            entry = {"id": identifier, "name": name, "displayName": label, "type": kind, "templateName": template}
            self.found[identifier] = {**entry, "children": [], **rest}
        return self.found[identifier]

    def several(
        self, name: str, boundary: str, kind: str, template: str, rest: Mapping[str, Any], attempts: int
    ) -> list[dict[str, Any]]:
        """Return the node of a template, and after it its attempts; without a retry strategy there are none."""
        if not attempts:
            return [self.add(name, boundary, kind, template, rest)]
        outer = self.add(name, boundary, "Retry", template, rest)
        made = [self.add(f"{name}({number})", boundary, kind, template, rest) for number in range(attempts)]
        outer["children"] = [item["id"] for item in made]
        return [outer, *made]


def pod_name(workflow: str, node: Mapping[str, Any]) -> str:
    """Return the name of a node's pod, after `RetrievePodName` of the server."""
    return f"{workflow}-{node['templateName']}-{node['id'].rpartition('-')[2]}"
