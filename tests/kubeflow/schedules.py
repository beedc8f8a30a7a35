"""Schedules as the server keeps them and its controller fires them.

After `CreateJob` (apiserver/resource/resource_manager.go), `NewGenericScheduledWorkflow` and `V2Spec.ScheduledWorkflow`
(apiserver/template), and `submitNewWorkflowIfNotAlreadySubmitted` (crd/controller/scheduledworkflow/controller.go). The
controller's clock, its limit of concurrent runs and catching up are left out: a test says when a schedule fires.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.kubeflow import robfig
from tests.kubeflow.argo import fnv
from tests.kubeflow.checking import INTERNAL, INVALID, ApiError, check_parameters

if TYPE_CHECKING:
    from tests.kubeflow.state import State

Entry = dict[str, Any]
CONVERSION = "Failed to create a recurring run due to conversion error"


@dataclass
class ScheduledWorkflow:
    """The Kubernetes object of a schedule.

    `parameters` is None where the object has no workflow: the runs that the controller asks for have no values then.
    `spec` is the pipeline that the server compiled into it; without, the controller asks the server for a run.
    """

    name: str
    parameters: Mapping[str, Any] | None
    spec: Mapping[str, Any] | None
    plugins_input: Mapping[str, Any] | None
    fired: int = 0

    def next_name(self) -> str:
        """The name of the next run."""
        name = f"{self.name}-{self.fired + 1}"
        return f"{name}-{fnv(name)}"


def check(body: Entry) -> None:
    """Refuse what `toModelJob` refuses."""
    if not body.get("display_name"):
        raise ApiError(
            INTERNAL,
            f"{CONVERSION}: InternalServerError: Failed to convert a API recurring run to its internal representation: "
            "Invalid input error: Recurring run's name cannot be empty",
        )
    concurrency = int(body.get("max_concurrency", 0))
    if not 1 <= concurrency <= 10:
        raise ApiError(
            INVALID,
            f"{CONVERSION}: Invalid input error: Max concurrency of a recurring run must be at least 1 and at most 10. "
            f"Received {concurrency}",
        )
    trigger = body.get("trigger") or {}
    if "cron_schedule" in trigger:
        try:
            robfig.parse(trigger["cron_schedule"].get("cron", ""))
        except robfig.CronError as error:
            raise ApiError(
                INVALID,
                f"{CONVERSION}: Invalid input error: Schedule cron is not a supported "
                f"format(https://godoc.org/github.com/robfig/cron). Error: {error}",
            ) from error
    elif (seconds := int(trigger.get("periodic_schedule", {}).get("interval_second", 0))) < 1:
        raise ApiError(
            INVALID,
            f"{CONVERSION}: Invalid input error: Found invalid period schedule interval {seconds}. Set at interval to "
            "least 1 second",
        )


def make(state: State, body: Entry) -> ScheduledWorkflow:
    """Return the object of a schedule.

    That of a pinned pipeline has the compiled workflow in it, unless there is input for a plugin: the runs must go
    through the server then, and it is made without any workflow, so without the parameters, which nobody checks.
    """
    words = "Failed to create a recurring run"
    values = body.get("runtime_config", {}).get("parameters") or {}
    spec, _ = state.source_of(body, f"{words}: InternalServerError: Failed to create a recurring run")
    pinned = "pipeline_spec" in body or bool(body["pipeline_version_reference"].get("pipeline_version_id"))
    plugins = body.get("plugins_input")
    name = f"{(re.sub('[^a-z0-9-]+', '', body['display_name'].lower()) or 'job-')[:25]}{fnv(str(state.made)):08x}"[:30]
    if pinned and plugins:
        return ScheduledWorkflow(name, None, None, plugins)
    doing = "during scheduled workflow creation" if pinned else "on the latest pipeline version"
    try:
        check_parameters(spec, values)
    except ApiError as error:
        raise error.within(f"{words}: {words} {doing}") from error
    return ScheduledWorkflow(name, values, spec if pinned else None, plugins)


def fire(state: State, schedule: Entry) -> Entry:
    """Make the run of a schedule: of the workflow in its object, or as the server makes any run."""
    scheduled = state.scheduled[schedule["recurring_run_id"]]
    common = {
        "display_name": scheduled.next_name(),
        "recurring_run_id": schedule["recurring_run_id"],
        "experiment_id": schedule["experiment_id"],
    }
    if schedule.get("service_account"):
        common["service_account"] = schedule["service_account"]
    scheduled.fired += 1
    sources = ("pipeline_version_reference", "pipeline_spec")
    if scheduled.spec is not None:  # the server learns of it from the workflow, and tells of it what the schedule says
        told = {key: schedule[key] for key in (*sources, "runtime_config") if key in schedule}
        return state.begin(state.identifier(), {**common, **told}, scheduled.spec, common["display_name"])
    body: Entry = {**common, "pipeline_version_reference": schedule["pipeline_version_reference"]}
    if scheduled.parameters is not None:
        body["runtime_config"] = {"parameters": dict(scheduled.parameters)}
    if scheduled.plugins_input:
        body["plugins_input"] = dict(scheduled.plugins_input)
    return state.create_run(body)
