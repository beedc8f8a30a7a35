"""The log of a task, as the server reads it from the pod or from its archive.

The server answers 200 before it has looked for the log. Where it finds none, or breaks off, an object with the error is
the end of what it sends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from agent0.errors import UsageError
from agent0.kubeflow.run_workflow import Workflow
from agent0.kubeflow.server_connection import Server
from agent0.kubeflow.server_runs import TaskState

_ERROR = '{"error_message":'
_REFUSAL = "Failed to read logs for run {}"


@dataclass(frozen=True)
class Log:
    """What there is of a log, and why it is not whole; `refusal` is empty for a whole one."""

    text: str
    refusal: str = ""


def read_log(server: Server, run_id: str, task: TaskState, workflow: Workflow | None) -> Log:
    """Return the log of the last attempt of a task that has one.

    Raises:
        UsageError: the task has no pod, or the server does not tell which.
        ServerError: no answer, or a refusal.
    """
    if workflow is None:
        raise UsageError(
            "The server does not tell the names of the run's pods, by which it hands out logs. Ask the cluster: "
            f"{kubectl(server.namespace, f'-l pipeline/runid={run_id} --prefix --tail=100')}"
        )
    if not task.pods:
        raise UsageError(f"The task {task.name} has no pod: it is {task.state}, or its result came from the cache.")
    for pod in reversed(task.pods):
        body = server.get_text(f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log")
        log = told_apart(body, run_id)
        if log.text or not log.refusal:
            return log
    return log


def told_apart(body: str, run_id: str) -> Log:
    """Separate a log from the error that the server may have put at its end; a log can be JSON of its own."""
    start = body.rfind(_ERROR)
    try:
        error = json.loads(body[start:]) if start >= 0 else {}
    except ValueError:
        return Log(body)
    message = str(error.get("error_message", ""))
    if set(error) != {"error_message", "error_details"} or _REFUSAL.format(run_id) not in message:
        return Log(body)
    return Log(body[:start], message.rpartition(f"{_REFUSAL.format(run_id)}: ")[2])


def by_kubectl(server: Server, run_id: str, task: TaskState, workflow: Workflow | None) -> str:
    """Return the command that asks the cluster for a log that the server does not have."""
    namespace = workflow.namespace if workflow else server.namespace
    return kubectl(namespace, task.pods[-1] if task.pods else f"-l pipeline/runid={run_id} --prefix")


def kubectl(namespace: str, what: str) -> str:
    """Return the command for the log of one pod or of several."""
    return f"kubectl logs{f' -n {namespace}' if namespace else ''} {what} -c main"
