"""A run that makes progress, step by step: what its workflow's nodes are then, and what the server tells of them.

Steps run one after another. One that fails omits what comes after it, and then the closing task runs. What the server
makes of the nodes is after `NodeStatuses` (common/util/workflow.go) and `toModelTasks` and `toApiPipelineTaskDetail`
(apiserver/server/api_converter.go): the API of runs tells neither messages nor pods, nor any error.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.kubeflow.argo import CONTAINER_DRIVER, DAG_DRIVER, Nodes, Step, fnv, pod_name

NO_TIME = "0001-01-01T00:00:00Z"  # what the server makes of an unset time
SECONDS_PER_STEP, SECONDS_AT_WORK = 60, 50
PHASES = {"running": "Running", "pending": "Pending", "succeeded": "Succeeded", "failed": "Failed"}
STATES = {"Error": "FAILED", "Omitted": ""}  # `RuntimeState.ToV2`; without a state the field is left out
PROGRAM_ERROR = "main: Error (exit code 1)"
ENDED_BY_DEADLINE = "Step exceeded its deadline"
ADMITTED: Callable[[Step, Mapping[str, Any]], str | None] = lambda task, run: None  # noqa: E731


@dataclass
class Workflow:
    """The progress of one run.

    Args:
        name: the workflow's.
        began: when it began.
        steps: its tasks.
        run: the run's entry.
        admit: is asked about each task, with the run. A text refuses it: one of Kubernetes, which begins with `pods "`
            or `Pod "`, so that there is no pod; any other makes the task's driver fail, and is the driver's log.
        failing: what Argo says of tasks that fail, by the end of their place; `NAME-driver` fails a driver.
        pending: what Argo says of tasks whose pod waits, likewise; they wait for ever.
        attempts: how often a task is tried whose retries the pipeline sets.
        everywhere: whether the controller gives every template a retry strategy.
        packed: whether the nodes are too many, so that Argo compresses them.
    """

    name: str
    began: datetime
    steps: list[Step]
    run: Mapping[str, Any]
    admit: Callable[[Step, Mapping[str, Any]], str | None] = ADMITTED
    failing: Mapping[str, str] = field(default_factory=dict)
    pending: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1
    everywhere: bool = False
    packed: bool = False
    cancelled: bool = False
    reported: bool = False

    def __post_init__(self) -> None:
        self._begin_next()

    @property
    def finished(self) -> bool:
        return all(step.state in ("succeeded", "failed", "omitted") for step in self.steps)

    @property
    def failed(self) -> bool:
        return any(step.state == "failed" for step in self.steps)

    def advance(self, steps: int) -> None:
        """Let so many steps end."""
        for _ in range(steps):
            if current := self._current():
                if current.state == "pending":
                    return
                self._end(current)
                self._begin_next()

    def terminate(self) -> None:
        """End what runs, as the server's patch of the deadline does; the closing task runs to its end."""
        self.cancelled = True
        if (current := self._current()) and not current.closing:
            current.state, current.message = "failed", ENDED_BY_DEADLINE
            self._begin_next()
        while current := self._current():
            current.state = "succeeded"
            self._begin_next()

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the nodes of the workflow's status; those that hold others are all as the workflow is."""
        made = Nodes(self.name, {})
        for step in self.steps:
            if step.state != "waiting":
                self._add(made, step)
        phase = "Running" if not self.finished else "Failed" if self.failed else "Succeeded"
        for node in made.found.values():
            node.setdefault("phase", phase)
        return made.found

    def details(self, run_id: str) -> list[dict[str, Any]]:
        """Return the nodes as the API of runs lists them; none while they are packed, which the server leaves so."""
        return [] if self.packed else [self._detail(run_id, node) for _, node in sorted(self.nodes().items())]

    def manifest(self, run_id: str, namespace: str) -> str:
        """Return the workflow as the server keeps it."""
        nodes: Any = self.nodes()
        packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
        status = {"compressedNodes": packed} if self.packed else {"nodes": nodes}
        metadata = {"name": self.name, "namespace": namespace, "labels": {"pipeline/runid": run_id}}
        spec = {"entrypoint": "entrypoint", **({"activeDeadlineSeconds": 0} if self.cancelled else {})}
        return json.dumps({"metadata": metadata, "spec": spec, "status": {"phase": "Running", **status}})

    def logs(self) -> dict[str, str]:
        """Return the logs by pod, of those that ran: the drivers', and each attempt's of each task."""
        found = {}
        for node in self.nodes().values():
            if node["type"] == "Pod" and node["phase"] in ("Running", "Succeeded", "Failed"):
                found[pod_name(self.name, node)] = node.get("log", f"log of {node['name']}\n")
        return found

    def _current(self) -> Step | None:
        return next((step for step in self.steps if step.state in ("running", "pending")), None)

    def _matching(self, step: Step, known: Mapping[str, str], suffix: str = "") -> str | None:
        place = f".{step.place}{suffix}"
        return next((said for end, said in known.items() if place.endswith(f".{end}")), None)

    def _begin_next(self) -> None:
        began = sum(step.began >= 0 for step in self.steps)
        for step in self.steps:
            if step.state == "waiting" and self.failed and not step.closing:
                step.state = "omitted"
            elif step.state == "waiting":
                step.began, step.state = began, "running"
                if (waits := self._matching(step, self.pending)) is not None:
                    step.state, step.message = "pending", waits
                return

    def _end(self, step: Step) -> None:
        refusal = self.admit(step, self.run)
        broken = self._matching(step, self.failing, "-driver")
        failed = self._matching(step, self.failing)
        step.state = "succeeded" if refusal is broken is failed is None else "failed"
        if refusal is not None:
            step.broken = not _is_refusal(refusal)
            step.message, step.log = (PROGRAM_ERROR, refusal) if step.broken else (refusal, "")
        elif broken is not None:
            step.broken, step.message = True, broken or PROGRAM_ERROR
        elif failed is not None:
            step.message = failed or PROGRAM_ERROR

    def _add(self, made: Nodes, step: Step) -> None:
        """Add the nodes of a step, and those that hold it."""
        began = self.began + timedelta(seconds=SECONDS_PER_STEP * (step.began if step.began >= 0 else len(self.steps)))
        at = {"startedAt": _text(began), "finishedAt": None}
        holder = self._several(made, self.name, "", "DAG", "entrypoint", at)[-1]["name"]
        for part in step.above:
            if part.kind == "group":
                made.add(f"{holder}.{part.name}", holder, "TaskGroup", "", at)
                continue
            driven = {**at, "phase": "Succeeded"}
            if part.kind == "dag":
                self._several(made, f"{holder}.{part.name}-driver", holder, "Pod", DAG_DRIVER, driven)
            holder = self._several(made, f"{holder}.{part.name}", holder, "DAG", part.template, at)[-1]["name"]
            if part.kind == "loop":
                self._several(made, f"{holder}.iteration-driver", holder, "Pod", DAG_DRIVER, driven)
        if step.state in ("succeeded", "failed"):
            at = {**at, "finishedAt": _text(began + timedelta(seconds=SECONDS_AT_WORK))}
        self._execute(made, step, holder, at)

    def _execute(self, made: Nodes, step: Step, holder: str, at: dict[str, Any]) -> None:
        """Add the nodes of a task itself; of several attempts all but the last have failed."""
        name, template = f"{holder}.{step.name}", step.template.replace("impl", "executor")
        omitted = {**at, "phase": "Omitted", "message": "omitted: depends condition not met"}
        if step.state == "omitted":
            made.add(f"{name}-driver", holder, "Skipped", CONTAINER_DRIVER, omitted)
            made.add(name, holder, "Skipped", template, omitted)
            return
        driven = {**at, "phase": "Succeeded", "log": step.log or f"log of {step.place}-driver\n"}
        if step.broken:
            driven |= {"phase": "Failed", **_said(step.message)}
        self._several(made, f"{name}-driver", holder, "Pod", CONTAINER_DRIVER, driven)
        if step.broken:
            made.add(name, holder, "Skipped", template, omitted)
            return
        at["phase"] = PHASES[step.state] if step.state != "pending" else "Running"
        outer = self._several(made, name, holder, "DAG", template, at)[-1]
        count = self.attempts if step.retried else int(self.everywhere)
        pods = made.several(f"{outer['name']}.executor", outer["name"], "Pod", step.template, at, count)
        outer["children"] = [pods[0]["id"]]
        for pod in pods[1:-1]:
            pod |= {"phase": "Failed", **_said(PROGRAM_ERROR)}
        pods[-1] |= {"phase": "Error" if _is_refusal(step.message) else PHASES[step.state], **_said(step.message)}
        for pod in pods:
            if pod["type"] == "Pod":
                pod["log"] = step.log or f"log of {step.place} from {pod_name(self.name, pod)}\n"

    def _several(self, made: Nodes, name: str, boundary: str, kind: str, template: str, at: Any) -> list[Any]:
        return made.several(name, boundary, kind, template, at, int(self.everywhere))

    def _detail(self, run_id: str, node: Mapping[str, Any]) -> dict[str, Any]:
        state = STATES.get(node["phase"], node["phase"].upper())
        children = [{"pod_name": child} for child in node["children"]]  # identifiers of nodes, whatever the field says
        return {
            "run_id": run_id,
            "task_id": f"{fnv(run_id + node['id']):08x}-0000-4000-8000-000000000000",
            "display_name": node["displayName"],
            "create_time": _text(self.began),
            "start_time": node["startedAt"],
            "end_time": node["finishedAt"] or NO_TIME,
            **({"state": state} if state else {}),
            **({"child_tasks": children} if children else {}),
        }


def _said(message: str) -> dict[str, Any]:
    """Return the fields of a node of which Argo says something."""
    code = re.search(r"exit code (\d+)", message)
    return {"message": message, **({"outputs": {"exitCode": code[1]}} if code else {})} if message else {}


def _is_refusal(message: str) -> bool:
    """Whether a text is what Kubernetes says where it refuses to make a pod."""
    return re.match(r'[Pp]ods? "', message) is not None


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
