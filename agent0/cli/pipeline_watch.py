"""The live view of a run on the server: finished tasks as lines, the stages that are under way as bars.

It asks the server now and then. A server that gives no answer for a while is waited for: the run goes on without us.
What holds up a pod is in the workflow, which is large; it is read once a minute, and only while a pod waits.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from agent0.kubeflow.client import Server, UnreachableError
from agent0.kubeflow.diagnosis import PATIENCE_SECONDS as PENDING_SECONDS
from agent0.kubeflow.diagnosis import waiting
from agent0.kubeflow.package import Package
from agent0.kubeflow.runs import FAILED, FINISHED, TaskState, get_run, pending_seconds, tasks_of_run
from agent0.kubeflow.workflow import read_workflow

POLL_SECONDS = 5.0
LOOK_SECONDS = 60.0  # between two looks at the workflow
PATIENCE_SECONDS = 600.0  # without an answer from the server


def watch(
    server: Server,
    run_id: str,
    package: Package,
    console: Console,
    *,
    interval: float = POLL_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> Any:
    """Show a run until it has finished, and return it.

    Raises:
        ServerError: the server refused, or gave no answer for `patience` seconds.
    """
    answered, silent, looked = time.monotonic(), False, -LOOK_SECONDS
    with _bars(console) as bars:
        view = _View(console, bars, package)
        while True:
            try:
                run = get_run(server, run_id)
            except UnreachableError as error:
                if time.monotonic() - answered > patience:
                    raise
                if not silent:
                    view.print(f"[yellow]note[/]  {error} The run goes on; trying again.")
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


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class _View:
    """Turns the states of tasks into lines and bars."""

    def __init__(self, console: Console, bars: Progress, package: Package) -> None:
        self._console = console
        self._bars = bars
        self._expected = package.expected_tasks
        self._all = bars.add_task(package.name, total=sum(self._expected.values()))
        self._stages: dict[str, TaskID] = {}
        self._told: dict[tuple[str, int], str] = {}
        self._waits: dict[tuple[str, int], str] = {}

    def show(self, tasks: list[TaskState]) -> None:
        """Show what has changed since the last time."""
        totals = Counter(task.name for task in tasks)
        done = Counter(task.name for task in tasks if task.state in FINISHED)
        for task in tasks:
            total = max(self._expected.get(task.name, 0), totals[task.name])
            if self._told.get((task.name, task.number)) != task.state:
                self._told[task.name, task.number] = task.state
                self._tell(task, total)
            if task.state == "RUNNING" and task.name not in self._stages:
                self._stages[task.name] = self._bars.add_task(task.name, total=total)
        for name, bar in list(self._stages.items()):
            total = max(self._expected.get(name, 0), totals[name])
            self._bars.update(bar, completed=done[name], total=total)
            if done[name] == totals[name]:
                self._bars.remove_task(self._stages.pop(name))
        everything = sum(max(count, totals[name]) for name, count in self._expected.items())
        self._bars.update(self._all, completed=done.total(), total=everything)

    def tell_waiting(self, tasks: list[TaskState]) -> None:
        """Say which pods have waited for long, and why; once for each reason."""
        for task, why in waiting(tasks):
            if self._waits.get((task.name, task.number)) != why:
                self._waits[task.name, task.number] = why
                self.print(f"[yellow]waits[/]   {task.name} {task.number}: {escape(why)}")

    def print(self, line: str) -> None:
        """Print a line whole; where it is piped, whoever reads it may wrap it."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def _tell(self, task: TaskState, total: int) -> None:
        counted = f"{task.name} {task.number}/{total}" if total > 1 else task.name
        took = f"{task.seconds:8.1f} s" if task.seconds is not None else ""
        if task.state == "RUNNING":
            self.print(f"[cyan]began[/]   {counted}")
        elif task.state == FAILED:
            self.print(f"[red]failed[/]  {counted:<34}{took}")
        elif task.state in FINISHED:
            self.print(f"[green]done[/]    {counted:<34}{took}")
