"""The live view of a run on the server: finished tasks as lines, the stages that are under way as bars.

It asks the server now and then. A server that gives no answer for a while is waited for: the run goes on without us.
What holds up a pod is in the workflow, which is large; it is read once a minute, and only while a pod waits.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from agent0.cli.bars import Bars
from agent0.cli.screen import console
from agent0.kubeflow.compiled_pipeline import Package
from agent0.kubeflow.diagnosis import PATIENCE_SECONDS as PENDING_SECONDS
from agent0.kubeflow.diagnosis import waiting
from agent0.kubeflow.run_workflow import read_workflow
from agent0.kubeflow.server_connection import Server, UnreachableError
from agent0.kubeflow.server_runs import FAILED, FINISHED, TaskState, get_run, pending_seconds, tasks_of_run

POLL_SECONDS = 5.0
LOOK_SECONDS = 60.0  # between two looks at the workflow
PATIENCE_SECONDS = 600.0  # without an answer from the server


def watch(
    server: Server,
    run_id: str,
    package: Package,
    *,
    interval: float = POLL_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> Any:
    """Show a run until it has finished, and return it.

    Raises:
        ServerError: the server refused, or gave no answer for `patience` seconds.
    """
    answered, silent, looked = time.monotonic(), False, -LOOK_SECONDS
    with Bars(console()) as bars:
        view = TaskView(bars, package)
        while True:
            try:
                run = get_run(server, run_id)
            except UnreachableError as error:
                if time.monotonic() - answered > patience:
                    raise
                if not silent:
                    bars.say("note", "yellow", f"{error} The run goes on; trying again.")
                silent = True
            else:
                answered, silent = time.monotonic(), False
                tasks = tasks_of_run(run, package)
                view.show(tasks)
                if run.state in FINISHED:
                    return run
                if answered - looked > LOOK_SECONDS and (not tasks or pending_seconds(run) > PENDING_SECONDS):
                    looked = answered
                    seen = tasks_of_run(run, package, read_workflow(server, run_id))
                    if not tasks:  # the server tells none of a workflow that it keeps packed
                        view.show(seen)
                    view.tell_waiting(seen)
            time.sleep(interval)


class TaskView:
    """Turns the states of a run's tasks into lines and bars."""

    def __init__(self, bars: Bars, package: Package) -> None:
        self._bars = bars
        self._name = package.name
        self._expected = package.expected_tasks
        self._stages: set[str] = set()
        self._told: dict[tuple[str, int], str] = {}
        self._waits: dict[tuple[str, int], str] = {}

    def show(self, tasks: list[TaskState]) -> None:
        """Show what has changed since the last time."""
        begun = Counter(task.name for task in tasks)
        done = Counter(task.name for task in tasks if task.state in FINISHED)
        totals = {name: max(self._expected.get(name, 0), begun[name]) for name in {**self._expected, **begun}}
        for task in tasks:
            if self._told.get((task.name, task.number)) != task.state:
                self._told[task.name, task.number] = task.state
                self._tell(task, totals[task.name])
        self._bars.show(self._name, done.total(), sum(totals.values()), "tasks", lines=False)
        running = {task.name for task in tasks if task.state == "RUNNING"}
        self._stages = {name for name in self._stages | running if done[name] < begun[name]}
        for name in begun:
            if name in self._stages:
                self._bars.show(name, done[name], totals[name], lines=False)
            else:
                self._bars.drop(name)

    def tell_waiting(self, tasks: list[TaskState]) -> None:
        """Say which pods have waited for long, and why; once for each reason."""
        for task, why in waiting(tasks):
            if self._waits.get((task.name, task.number)) != why:
                self._waits[task.name, task.number] = why
                self._bars.say("waits", "yellow", f"{task.name} {task.number}: {why}")

    def _tell(self, task: TaskState, total: int) -> None:
        counted = f"{task.name} {task.number}/{total}" if total > 1 else task.name
        took = f"{task.seconds:8.1f} s" if task.seconds is not None else ""
        if task.state == "RUNNING":
            self._bars.say("began", "cyan", counted)
        elif task.state == FAILED:
            self._bars.say("failed", "red", f"{counted:<34}{took}".rstrip())
        elif task.state in FINISHED:
            self._bars.say("done", "green", f"{counted:<34}{took}".rstrip())
