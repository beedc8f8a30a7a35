"""`agent0 pipeline schedule | unschedule | schedules`: pipelines that run by the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent0.cli.pipeline_options import connected
from agent0.cli.pipeline_run import (
    EXPERIMENT,
    Benchmarks,
    Experiment,
    Mlflow,
    Model,
    Parameters,
    ParametersFile,
    PipelineRoot,
    ServiceAccount,
    assignments,
)
from agent0.cli.screen import Table, show_json
from agent0.cli.shared_options import AsJson
from agent0.errors import UsageError, warn
from agent0.kubeflow.server_connection import Connection, Server, connect

if TYPE_CHECKING:
    from agent0.kubeflow.compiled_pipeline import Package

CLOCK = "UTC, unless the cluster sets CRON_SCHEDULE_TIMEZONE"


@connected
def schedule_pipeline(
    pipeline: Annotated[str, typer.Argument(help="A pipeline on the server, such as evaluation.")],
    cron: Annotated[
        str,
        typer.Option(
            help="Six fields: second, minute, hour, day, month, weekday. '0 0 3 * * *': daily at three. Or '@every 6h'."
        ),
    ],
    parameters: Parameters = None,
    params_file: ParametersFile = "",
    model: Model = "",
    benchmarks: Benchmarks = "",
    latest: Annotated[bool, typer.Option("--latest", help="Follow the newest version, also of later uploads.")] = False,
    version: Annotated[
        str, typer.Option(help="Stay with this version. Without --latest and --version: with today's newest.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the schedule; the pipeline's if not given.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the schedule of that name.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=10, help="Runs of it at the same time, at most.")] = 1,
    catchup: Annotated[
        bool, typer.Option("--catchup", help="Make up for the firings missed while it was disabled.")
    ] = False,
    experiment: Experiment = EXPERIMENT,
    service_account: ServiceAccount = "",
    pipeline_root: PipelineRoot = "",
    mlflow: Mlflow = True,
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """Run a pipeline by the clock.

    Example: [bold]agent0 pipeline schedule evaluation --cron "0 0 3 * * *" --model
    models:/agent0-executor@candidate --benchmarks gsm8k,math_500[/bold]

    A schedule cannot be changed on the server: --replace makes the new one first and deletes the old one after it.
    """
    from agent0.kubeflow.acceptance import release_of
    from agent0.kubeflow.acceptance.finding_sentences import require_accepted
    from agent0.kubeflow.cron import check_fields, next_firings
    from agent0.kubeflow.parameters import check_models, resolve_parameters
    from agent0.kubeflow.pipeline_versions import find_version, latest_version, require_pipeline
    from agent0.kubeflow.schedules import Plan, put_schedule
    from agent0.kubeflow.server_runs import mlflow_input

    check_fields(cron)
    if latest and version:
        raise UsageError("--latest follows every new version, and --version stays with one: give one of them.")
    server = connect(connection)
    owner = require_pipeline(server, pipeline)
    chosen = find_version(server, owner, version) if version else latest_version(server, owner)
    values = resolve_parameters(chosen.package, assignments(parameters, model, benchmarks), params_file)
    require_accepted(chosen.package, release_of(server.version), values)
    check_models(values)
    plugins = mlflow_input(server, chosen.package, values) if mlflow else None
    plan = Plan(
        name=name or owner.display_name,
        pipeline_id=owner.pipeline_id,
        version_id="" if latest else chosen.version_id,
        cron=cron,
        parameters=values,
        experiment=experiment,
        concurrency=concurrency,
        catchup=catchup,
        service_account=service_account,
        pipeline_root=pipeline_root,
        plugins=plugins if latest else None,
    )
    made, replaced = put_schedule(server, plan, replace=replace)
    _warn_of_tags(chosen.package, values)
    follows = f"newest version, now {chosen.name}" if latest else chosen.name
    times = [f"{time:%Y-%m-%d %H:%M:%S}" for time in next_firings(cron, datetime.now(UTC), 3)]
    if as_json:
        what = {"schedule_id": made.recurring_run_id, "name": plan.name, "pipeline": owner.display_name}
        show_json({**what, "version": "" if latest else chosen.name, "at": times, "replaced": list(replaced)})
        return
    print(f"schedule  {plan.name}  {made.recurring_run_id}\nruns      {owner.display_name}@{follows}")
    print(f"at        {', '.join(times) or 'no time: there is no such day'} ({CLOCK})")
    if replaced:
        print(f"replaced  {', '.join(replaced)}")
    if plugins and not latest:
        print(
            "note      A pinned schedule goes without the server's MLflow integration, with which its runs would lose "
            "their parameters; the pipeline opens its MLflow run itself."
        )


def _warn_of_tags(package: Package, values: Mapping[str, Any]) -> None:
    if tags := package.unpinned_images(values):
        warn(
            f"{', '.join(tags)} is named by a tag: a later run may use another image than today's. "
            "Compile with --image NAME@sha256:… to pin it."
        )


@connected
def unschedule_pipeline(
    schedule: Annotated[str, typer.Argument(help="Name of the schedule, or its identifier.")],
    *,
    connection: Connection,
) -> None:
    """Delete a schedule. Runs that it has started go on.

    Example: [bold]agent0 pipeline unschedule agent0-evaluation[/bold]
    """
    from agent0.kubeflow.schedules import delete_schedule, list_schedules, schedules_named

    server = connect(connection)
    found = schedules_named(server, schedule)
    if not found:
        names = ", ".join(sorted({item.display_name for item in list_schedules(server)})) or "none"
        raise UsageError(f"There is no schedule {schedule!r}; there are: {names}.")
    if len(found) > 1:
        identifiers = ", ".join(item.recurring_run_id for item in found)
        raise UsageError(f"{len(found)} schedules are named {schedule!r}; give an identifier: {identifiers}.")
    delete_schedule(server, found[0])
    print(f"The schedule {found[0].display_name} ({found[0].recurring_run_id}) is deleted.")


@connected
def list_schedules(as_json: AsJson = False, *, connection: Connection) -> None:
    """List the schedules: when they fire next, what they run, and how their last runs ended.

    Example: [bold]agent0 pipeline schedules[/bold]
    """
    from agent0.kubeflow import schedules

    server = connect(connection)
    found = schedules.list_schedules(server)
    runs = schedules.last_runs(server) if found else {}
    table = Table("schedule", "runs", "cron", "next, UTC", "last runs", spare=("last runs", "runs"))
    for item in found:
        states = ", ".join(run.state or "" for run in runs.get(item.recurring_run_id, ())) or "–"
        cron = item.trigger.cron_schedule.cron if item.trigger and item.trigger.cron_schedule else ""
        table.add(item.display_name, _target(server, item), cron or "periodic", _next(item, cron), states)
    table.show(as_json=as_json)


def _next(item: Any, cron: str) -> str:
    from agent0.kubeflow.cron import check_fields, next_firings

    if item.status != "ENABLED":
        return "disabled"
    try:
        check_fields(cron)
    except UsageError:  # the server takes forms that a person should not write, such as five fields
        return "see the cron" if cron else "–"
    return next((f"{time:%Y-%m-%d %H:%M:%S}" for time in next_firings(cron, datetime.now(UTC))), "never")


def _target(server: Server, item: Any) -> str:
    """Return the pipeline of a schedule and its version; without a version it follows the newest."""
    from agent0.kubeflow.pipeline_versions import version_by_id

    reference = item.pipeline_version_reference
    if not reference or not reference.pipeline_id:
        return "a pipeline of its own"
    if reference.pipeline_version_id:
        return str(version_by_id(server, reference.pipeline_id, reference.pipeline_version_id))
    pipeline = server.client._pipelines_api.pipeline_service_get_pipeline(reference.pipeline_id)
    return f"{pipeline.display_name}, newest"
