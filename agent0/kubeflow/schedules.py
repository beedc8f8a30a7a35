"""Schedules: recurring runs on the server, replaced without a gap.

A schedule follows its pipeline's newest version, or is pinned to one. The server cannot change a schedule, so replacing
is making the new one first and deleting the old one after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from agent0.errors import UsageError
from agent0.kubeflow.pipeline_versions import NEWEST_FIRST, in_namespace, pages
from agent0.kubeflow.server_connection import Server, ServerError
from agent0.kubeflow.server_runs import experiment_id, list_runs, reference_to, runtime_config

RUNS_LOOKED_AT = 200


@dataclass(frozen=True)
class Plan:
    """What a schedule is to do. Without `version_id` it follows the pipeline's newest version."""

    name: str
    pipeline_id: str
    version_id: str
    cron: str
    parameters: Mapping[str, Any]
    experiment: str
    concurrency: int = 1
    catchup: bool = False
    service_account: str = ""
    pipeline_root: str = ""
    plugins: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.version_id and self.plugins:
            raise ValueError("a server forgets the parameters of a pinned schedule that has input for a plugin")


def list_schedules(server: Server) -> list[Any]:
    """Return every schedule, the newest first."""
    call = server.client._recurring_run_api.recurring_run_service_list_recurring_runs
    return list(pages(call, "recurring_runs", sort_by=NEWEST_FIRST, namespace=in_namespace(server)))


def schedules_named(server: Server, reference: str) -> list[Any]:
    """Return the schedules of a name or identifier."""
    return [item for item in list_schedules(server) if reference in (item.display_name, item.recurring_run_id)]


def put_schedule(server: Server, plan: Plan, *, replace: bool) -> tuple[Any, list[str]]:
    """Make a schedule, and then delete those of the same name that it replaces.

    Returns:
        The schedule, and the identifiers of those that it replaced.

    Raises:
        UsageError: there is one of that name, and `replace` is not asked for.
        ServerError: the server refused. Until the new one stands, the old one is left as it is; a message says what
            remains if the old one could not be deleted.
    """
    old = schedules_named(server, plan.name)
    if old and not replace:
        cron = old[0].trigger.cron_schedule.cron if old[0].trigger and old[0].trigger.cron_schedule else "no cron"
        raise UsageError(
            f"There is a schedule {plan.name!r} already ({cron}); replace it with --replace, or give another --name."
        )
    made = server.client._recurring_run_api.recurring_run_service_create_recurring_run(_request(server, plan))
    for item in old:
        try:
            delete_schedule(server, item)
        except ServerError as error:
            raise ServerError(
                f"The new schedule {plan.name!r} stands ({made.recurring_run_id}), but the old one, "
                f"{item.recurring_run_id}, could not be deleted and fires as well: {error} Delete it with: "
                f"agent0 pipeline unschedule {item.recurring_run_id}"
            ) from error
    return made, [item.recurring_run_id for item in old]


def delete_schedule(server: Server, schedule: Any) -> None:
    """Delete a schedule; runs that it has started go on."""
    server.client._recurring_run_api.recurring_run_service_delete_recurring_run(schedule.recurring_run_id)


def last_runs(server: Server, count: int = 3) -> dict[str, list[Any]]:
    """Return the newest runs of each schedule, by its identifier, among the server's newest runs."""
    found: dict[str, list[Any]] = defaultdict(list)
    for run in islice(list_runs(server), RUNS_LOOKED_AT):
        if run.recurring_run_id and len(found[run.recurring_run_id]) < count:
            found[run.recurring_run_id].append(run)
    return found


def _request(server: Server, plan: Plan) -> Any:
    import kfp_server_api

    return kfp_server_api.V2beta1RecurringRun(
        display_name=plan.name,
        experiment_id=experiment_id(server, plan.experiment),
        namespace=in_namespace(server) or None,
        pipeline_version_reference=reference_to(plan.pipeline_id, plan.version_id),
        runtime_config=runtime_config(plan.parameters, plan.pipeline_root),
        trigger=kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=plan.cron)),
        mode=kfp_server_api.RecurringRunMode.ENABLE,
        max_concurrency=str(plan.concurrency),  # a 64-bit integer, which JSON carries as text
        no_catchup=not plan.catchup,
        service_account=plan.service_account or None,
        plugins_input=dict(plan.plugins) if plan.plugins else None,
    )
