"""A run that makes progress: the nodes of its workflow, named, nested and hashed as Argo and the server do.

For each task of the pipeline there are three nodes, in a flat list: `NAME-driver`, `NAME`, and within it `executor`.
A node's identifier is `WORKFLOW-HASH` with the 32-bit FNV-1a hash of its full name; the list tells it only as the child
of another node. Pods are called `WORKFLOW-TEMPLATE-HASH`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

LOOP_ITEMS = 2
NO_TIME = "0001-01-01T00:00:00Z"  # what the server makes of an unset time


def fnv(text: str) -> int:
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ byte) * 16777619) % 2**32
    return value


@dataclass
class Step:
    """One task that runs a container, at its place in the workflow."""

    name: str
    path: str
    retried: bool


def steps_of(spec: Mapping[str, Any]) -> list[Step]:
    """Return the tasks in an order in which they can run, nested pipelines and loops unrolled."""
    return list(_walk(spec, spec["root"], "root"))


def _walk(spec: Mapping[str, Any], component: Mapping[str, Any], path: str) -> Iterator[Step]:
    tasks = component["dag"]["tasks"]
    done: set[str] = set()
    while len(done) < len(tasks):
        ready = [key for key in tasks if key not in done and set(tasks[key].get("dependentTasks", ())) <= done]
        if not ready:
            raise ValueError(f"the tasks of {path} wait for each other")
        for key in sorted(ready):
            done.add(key)
            child = spec["components"][tasks[key]["componentRef"]["name"]]
            again = "parameterIterator" in tasks[key] or "artifactIterator" in tasks[key]
            for item in range(LOOP_ITEMS if again else 1):
                place = f"{path}.{key}" + (f".iteration-iterations({item}:{item}).iteration-item" if again else "")
                if "dag" in child:
                    yield from _walk(spec, child, place)
                else:
                    yield Step(key, place, "retryPolicy" in tasks[key])


@dataclass
class Workflow:
    """The progress of one run: `done` of its steps have ended; the next one is running, or has failed."""

    name: str
    began: datetime
    steps: list[Step]
    done: int = 0
    failing: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1
    failed: bool = False

    @property
    def finished(self) -> bool:
        return self.done == len(self.steps)

    @property
    def reason(self) -> str | None:
        """Why the current step fails, if it does: `failing` names steps by the end of their path."""
        path = "" if self.finished else self.steps[self.done].path
        return next((reason for end, reason in self.failing.items() if path.endswith(f".{end}")), None)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.failed = self.failed or self.reason is not None
            if not self.finished and not self.failed:
                self.done += 1

    def node(self, path: str) -> str:
        return f"{self.name}-{fnv(f'{self.name}.{path}')}"

    def pods(self) -> dict[str, Step]:
        """Return the pods of the steps that have begun, with those of earlier attempts."""
        found = {}
        for step in self.steps[: self.done + 1]:
            path = f"{step.path}.executor"
            if step.retried:
                for attempt in range(self.attempts):
                    digest = fnv(f"{self.name}.{path}({attempt})")
                    found[f"{self.name}-retry-system-container-impl-{digest}"] = step
            else:
                found[f"{self.name}-system-container-impl-{fnv(f'{self.name}.{path}')}"] = step
        return found

    def details(self, run_id: str, *, cancelled: bool) -> list[dict[str, Any]]:
        """Return the nodes as the API lists them."""
        nodes = [self._node(run_id, 0, "root-driver", "SUCCEEDED", 0, [self.node("root")])]
        for number, step in enumerate(self.steps[: self.done + 1]):
            last = number == self.done
            state = "SUCCEEDED" if not last else "FAILED" if self.failed or cancelled else "RUNNING"
            execution = self.node(f"{step.path}.executor")
            nodes += [
                self._node(run_id, number, f"{step.name}-driver", "SUCCEEDED", number, [self.node(step.path)]),
                self._node(run_id, number, step.name, state, number, [execution]),
                self._node(run_id, number, "executor", state, number, []),
            ]
            if self.failed and last and self.reason:
                nodes[-2]["error"] = {"code": 2, "message": self.reason}
        return sorted(nodes, key=lambda node: fnv(node["task_id"]))  # the server's order says nothing

    def _node(self, run_id: str, number: int, name: str, state: str, at: int, children: list[str]) -> dict[str, Any]:
        ended = state in ("SUCCEEDED", "FAILED")
        node = {
            "run_id": run_id,
            "task_id": f"{fnv(f'{run_id}{number}{name}'):08x}-0000-4000-8000-000000000000",
            "display_name": name,
            "create_time": _text(self.began),
            "start_time": _text(self.began + timedelta(seconds=60 * at)),
            "end_time": _text(self.began + timedelta(seconds=60 * at + 50)) if ended else NO_TIME,
            "state": state,
        }
        if children:
            node["child_tasks"] = [{"pod_name": child} for child in children]
        return node


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
