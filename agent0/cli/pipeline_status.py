"""`agent0 pipeline status | logs | cancel`: a run on the server, looked into and ended."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent0.cli.pipeline_options import connected
from agent0.cli.pipeline_run import Interval, Run, Wait, wait_for
from agent0.cli.pipeline_version import date
from agent0.cli.screen import Table
from agent0.cli.shared_options import AsJson
from agent0.errors import Agent0Error, UsageError
from agent0.kubeflow.server_connection import Connection, connect

if TYPE_CHECKING:
    from agent0.kubeflow.diagnosis import Failure
    from agent0.kubeflow.server_runs import TaskState


@connected
def show_status(
    run: Run,
    wait: Wait = False,
    interval: Interval = 5.0,
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """Show the state of a run and of each of its tasks; of a task that failed the end of its log, and what to do.

    Example: [bold]agent0 pipeline status latest[/bold]
    """
    from agent0.kubeflow.diagnosis import failures, paragraphs, sentence, waiting
    from agent0.kubeflow.run_workflow import read_workflow
    from agent0.kubeflow.server_runs import FINISHED, find_run, mlflow_link, package_of_run, tasks_of_run

    server = connect(connection)
    found = find_run(server, run)
    package = package_of_run(server, found)
    if wait:
        wait_for(server, found.run_id, package, interval)
        return
    workflow = read_workflow(server, found.run_id)
    tasks = tasks_of_run(found, package, workflow)
    failed = failures(server, found, tasks, package, workflow)
    ended = sentence(found, tasks, workflow) if found.state in FINISHED - {"SUCCEEDED"} else ""
    delayed = {(task.name, task.number): why for task, why in waiting(tasks)}
    if as_json:
        print(status_record(found, tasks, failed, delayed, ended))
        return
    print(f"run       {found.run_id}  {found.display_name}\nstate     {found.state}")
    print(f"page      {server.link('runs', found.run_id)}")
    if link := mlflow_link(found):
        print(f"mlflow    {link}")
    if tasks:
        task_table(tasks).show()
    for (name, number), why in delayed.items():
        print(f"{name} {number} waits: {why}")
    for line in (*paragraphs(failed), *([ended] if ended else [])):
        print(line)


def status_record(
    run: Any,
    tasks: Iterable[TaskState],
    failed: Iterable[Failure],
    delayed: dict[tuple[str, int], str],
    ended: str,
) -> str:
    """Return a run and its tasks as JSON, with why tasks failed or wait, and how the run ended in words."""
    from agent0.kubeflow.server_runs import mlflow_link

    described = [{**asdict(task), "waits": delayed.get((task.name, task.number), "")} for task in tasks]
    head = {"run_id": run.run_id, "name": run.display_name, "state": run.state, "ended": ended}
    return json.dumps(
        {**head, "mlflow": mlflow_link(run), "tasks": described, "failures": [asdict(item) for item in failed]},
        indent=2,
        default=datetime.isoformat,
    )


def task_table(tasks: list[TaskState]) -> Table:
    """Return the tasks of a run in the order in which they began."""
    from agent0.kubeflow.diagnosis import label

    columns = ("task", "state", "began", "seconds", "error")
    made = Table(*columns, right=("seconds",), spare=("began", "seconds"))
    for task in tasks:
        seconds = "" if task.seconds is None else f"{task.seconds:,.1f}"
        made.add(label(task, tasks), task.state, date(task.started_at), seconds, task.error)
    return made


@connected
def show_logs(
    run: Run,
    task: Annotated[str, typer.Argument(help="Task, such as curriculum-training; the failed one if not given.")] = "",
    number: Annotated[int, typer.Option(min=0, help="Which of the tasks of that name; 0: the last begun.")] = 0,
    *,
    connection: Connection,
) -> None:
    """Print the log of a task. Exits with 1 where the server has none, or only a part.

    Example: [bold]agent0 pipeline logs latest executor-training --number 2[/bold]
    """
    from agent0.kubeflow.logs import by_kubectl, read_log
    from agent0.kubeflow.run_workflow import read_workflow
    from agent0.kubeflow.server_runs import FAILED, find_run, package_of_run, tasks_of_run

    server = connect(connection)
    found = find_run(server, run)
    workflow = read_workflow(server, found.run_id)
    begun = tasks_of_run(found, package_of_run(server, found), workflow)
    named = [item for item in begun if item.name == task] if task else [item for item in begun if item.state == FAILED]
    chosen = [item for item in named if number in (0, item.number)]
    if not chosen:
        names = ", ".join(dict.fromkeys(item.name for item in begun)) or "none has"
        what = f"task {task!r}{f' number {number}' if number else ''} has begun" if task else "task has failed"
        raise UsageError(f"No {what} in the run {found.run_id}; those that have begun: {names}.")
    log = read_log(server, found.run_id, chosen[-1], workflow)
    print(log.text, end="")
    if log.refusal:
        had = "broke off in" if log.text else "has none, or none any more, of"
        raise Agent0Error(
            f"The server {had} the log of {chosen[-1].name} ({log.refusal}). If its pod is still there: "
            f"{by_kubectl(server, found.run_id, chosen[-1], workflow)}"
        )


@connected
def cancel_run(run: Run, *, connection: Connection) -> None:
    """End a run. Run again with the same parameters, it goes on: a training from the last checkpoint in its workspace.

    Example: [bold]agent0 pipeline cancel latest[/bold]
    """
    from agent0.kubeflow.server_runs import FINISHED, find_run

    server = connect(connection)
    found = find_run(server, run)
    if found.state in FINISHED:
        print(f"The run {found.run_id} has finished already ({found.state}); there is nothing to cancel.")
        return
    server.client._run_api.run_service_terminate_run(found.run_id)
    print(f"The run {found.run_id} is being cancelled.")
