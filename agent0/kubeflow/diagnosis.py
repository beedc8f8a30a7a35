"""What a person at night needs of a run that failed or waits: which task, what was said of it, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agent0.errors import UsageError
from agent0.kubeflow.compiled_pipeline import Package
from agent0.kubeflow.failure_causes import DRIVER, UNEXPLAINED_WAIT, advice_for
from agent0.kubeflow.logs import by_kubectl, read_log
from agent0.kubeflow.pod_resources import component_of
from agent0.kubeflow.run_workflow import Workflow
from agent0.kubeflow.server_connection import Server, ServerError
from agent0.kubeflow.server_runs import FAILED, TaskState, was_cancelled

TAIL_LINES = 20
TASKS_WITH_LOG = 3  # of those that failed; others are named
PATIENCE_SECONDS = 120.0  # after which a pod that waits is worth a word


@dataclass(frozen=True)
class Failure:
    """One task that failed: what was said of it, the end of its log or why there is none, and what to do."""

    task: str
    number: int
    message: str
    log: tuple[str, ...]
    no_log: str
    advice: str


def failures(
    server: Server, run: Any, tasks: Iterable[TaskState], package: Package, workflow: Workflow | None
) -> list[Failure]:
    """Return the tasks of a run that failed, in the order in which they began; none for a cancelled run."""
    if run.state != FAILED or was_cancelled(run, workflow):
        return []
    failed = [task for task in tasks if task.state == FAILED]
    return [_failure(server, run.run_id, task, package, workflow) for task in failed[:TASKS_WITH_LOG]]


def sentence(run: Any, tasks: Iterable[TaskState], workflow: Workflow | None) -> str:
    """Return how a run ended that did not succeed, with the tasks that failed."""
    if was_cancelled(run, workflow):
        return f"The run {run.run_id} was cancelled."
    every = list(tasks)
    named = ", ".join(label(task, every) for task in every if task.state == FAILED)
    message = workflow.message if workflow and not named else ""
    why = f" in {named}" if named else f": {message}" if message else ""
    return f"The run {run.run_id} {'failed' if run.state == FAILED else f'ended as {run.state}'}{why}."


def label(task: TaskState, tasks: Iterable[TaskState]) -> str:
    """Return a task's name, with its number where there are several of that name."""
    return f"{task.name} {task.number}" if any(t.name == task.name and t.number > 1 for t in tasks) else task.name


def paragraphs(found: Iterable[Failure]) -> Iterator[str]:
    """Yield what is known of each failure, as lines for the terminal."""
    for failure in found:
        yield f"{failure.task} {failure.number}: {failure.message or 'Kubeflow tells no message'}"
        yield from (f"  | {line}" for line in failure.log)
        if failure.no_log:
            yield f"  no log: {failure.no_log}"
        yield f"  what to do: {failure.advice}"


def waiting(tasks: Iterable[TaskState]) -> Iterator[tuple[TaskState, str]]:
    """Yield the tasks whose pods have waited for long, each with why and what to do."""
    for task in tasks:
        if task.state == "PENDING" and (task.seconds or 0) > PATIENCE_SECONDS:
            advice = advice_for(task.error, "") or UNEXPLAINED_WAIT
            yield task, f"{task.error}. {advice}" if task.error else advice


def _failure(server: Server, run_id: str, task: TaskState, package: Package, workflow: Workflow | None) -> Failure:
    lines, no_log = _tail(server, run_id, task, workflow)
    killed = " signal: killed" if any("signal: killed" in line for line in lines) else ""
    advice = advice_for(task.error + killed, _more_memory(run_id, package, task.name))
    if not advice and task.broken:
        advice = DRIVER
    what = f"agent0 pipeline logs {run_id} {task.name} --number {task.number}"
    return Failure(
        task.name,
        task.number,
        task.error,
        lines,
        no_log,
        advice or f"Read its whole log, mend what it says, and run again: {what}",
    )


def _tail(server: Server, run_id: str, task: TaskState, workflow: Workflow | None) -> tuple[tuple[str, ...], str]:
    """Return the end of a task's log, and why it is not all of it."""
    try:
        log = read_log(server, run_id, task, workflow)
    except (UsageError, ServerError) as error:
        return (), str(error)
    asked = f"{log.refusal}. If its pod is still there: {by_kubectl(server, run_id, task, workflow)}"
    lines = tuple(log.text.rstrip().splitlines()[-TAIL_LINES:])
    return lines, asked if log.refusal else "" if lines else "it is empty"


def _more_memory(run_id: str, package: Package, task_name: str) -> str:
    """Return the command that runs a pipeline once more with more memory for a task, and says how much it has."""
    from agent0.kubeflow.pod_policy import POLICIES

    executor = next((task.executor for task in package.containers if task.name == task_name), "")
    described = package.spec["deploymentSpec"].get("executors", {}).get(executor, {}).get("container", {})
    has = described.get("resources", {}).get("resourceMemoryLimit", "no limit")
    policy = POLICIES.get(component_of(executor))
    return f"agent0 pipeline rerun {run_id} -O {policy.role if policy else 'training'}_memory=… (it has {has})"
