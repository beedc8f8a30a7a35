"""The log of a task, as the server reads it from the pod or from its archive.

The server hands out logs by the name of the pod and does not tell it. It follows from two things: a workflow's node has
the identifier `WORKFLOW-HASH`, with the 32-bit FNV-1a hash of the node's full name, and its pod is called
`WORKFLOW-TEMPLATE-HASH`. The nodes of a task are known from the run; those of its later attempts are computed.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent0.errors import UsageError
from agent0.kubeflow.client import Server, ServerError
from agent0.kubeflow.package import Package
from agent0.kubeflow.runs import TaskState

ATTEMPTS = 10
LOOP_ITEMS = 1000
_LOOP_ITEM = ".iteration-iterations(#:#).iteration-item"
_TEMPLATES = ("system-container-impl", "retry-system-container-impl")


def read_log(server: Server, run_id: str, task: TaskState, package: Package) -> str:
    """Return the log of the last attempt of a task that has one.

    Raises:
        UsageError: the task has not begun, or the server has no log of it.
    """
    if not task.children and not task.pod:
        raise UsageError(f"The task {task.name} has no pod: it is {task.state}, or its result came from the cache.")
    refusal = ""
    for pod in _pods(task, package):
        try:
            return server.get_text(f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log")
        except ServerError as error:
            if error.status in (0, 401, 403):
                raise
            refusal = str(error)
    where = f" -n {server.namespace}" if server.namespace else ""
    raise UsageError(
        f"The server has no log of {task.name} any more ({refusal}). Its pods, if they are still there: "
        f"kubectl get pods{where} -l pipeline/runid={run_id}"
    )


def _pods(task: TaskState, package: Package) -> Iterator[str]:
    """Yield the names that the pod of a task can have, the latest attempt first."""
    if task.pod:
        yield task.pod
    for node in task.children:
        workflow, _, digest = node.rpartition("-")
        for name in (f"{workflow}.{path}.executor" for path in _node_names(package, task.name)):
            if node_hash(name) == digest:
                for attempt in reversed(range(ATTEMPTS)):
                    yield f"{workflow}-{_TEMPLATES[1]}-{node_hash(f'{name}({attempt})')}"
        for template in _TEMPLATES:
            yield f"{workflow}-{template}-{digest}"


def _node_names(package: Package, task_name: str) -> Iterator[str]:
    """Yield the names that a task's nodes can have within the workflow; those in a loop for each of its items."""
    for task in package.containers:
        if task.name != task_name:
            continue
        component, segments = package.spec["root"], ["root"]
        for key in task.path:
            spec = component["dag"]["tasks"][key]
            again = "parameterIterator" in spec or "artifactIterator" in spec
            segments.append(f"{key}{_LOOP_ITEM if again else ''}")
            component = package.spec["components"][spec["componentRef"]["name"]]
        name = ".".join(segments)
        yield from (name.replace("#", str(item)) for item in range(LOOP_ITEMS if task.looped else 1))


def node_hash(name: str) -> str:
    """Return the 32-bit FNV-1a hash of a node's name, in decimal."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return str(value)
