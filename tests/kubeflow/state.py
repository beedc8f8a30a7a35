"""What the test server keeps, and the rules by which it changes: runs, their logs, and schedules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent0.kubeflow.server_connection import parse_version
from tests.kubeflow import admission, schedules
from tests.kubeflow.argo import Step, steps_of
from tests.kubeflow.catalogue import Catalogue, Entry, get
from tests.kubeflow.checking import INTERNAL, INVALID, NOT_FOUND, ApiError, check_parameters
from tests.kubeflow.simulation import Workflow

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
MLFLOW_KEYS = {"experiment_name", "experiment_id", "disabled"}
NEVER = "1970-01-01T00:00:00Z"
NAMESPACE = "kubeflow"  # of a server for one user


@dataclass
class State(Catalogue):
    """Everything on the server.

    Args:
        version: the server's release; from 2.17 on, the controller retries every node (`argo`).
        steps_per_look: how many steps a run makes at each look at it.
        failing, pending, attempts, packed: of runs to come; see `simulation.Workflow`.
        admit: replaces the driver's and Kubernetes' admission of tasks (`admission`).
        logs: the logs of tasks, by the end of their place.
        logs_kept: whether pods and archive are there to be asked.
        older_api: whether the API v1beta1 is open.
    """

    version: str = "2.17.0"
    steps_per_look: int = 0
    failing: dict[str, str] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    attempts: int = 1
    admit: Callable[[Step, Mapping[str, Any]], str | None] | None = None
    packed: bool = False
    logs: dict[str, str] = field(default_factory=dict)
    logs_kept: bool = True
    older_api: bool = True
    mlflow_url: str = ""
    runs: dict[str, Entry] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    recurring_runs: dict[str, Entry] = field(default_factory=dict)
    scheduled: dict[str, schedules.ScheduledWorkflow] = field(default_factory=dict)

    @property
    def has_plugins(self) -> bool:
        """Whether the release knows plugins, and comes with a controller that retries every node."""
        return parse_version(self.version) >= (2, 17) or not parse_version(self.version)

    # Runs

    def create_run(self, body: Entry) -> Entry:
        if not body.get("display_name"):
            raise ApiError(
                INTERNAL,
                "CreateJob(job.ToV2())Failed to create a run due to conversion error: InternalServerError: Failed to "
                "convert a API run detail to its internal representation: Invalid input error: Run name cannot be "
                "empty",
            )
        experiment = self.experiment_of(body, "Failed to create a new run: Failed to create a run")
        spec, reference = self.source_of(
            body, "Failed to create a new run: InternalServerError: Failed to create a run"
        )
        try:
            check_parameters(spec, body.get("runtime_config", {}).get("parameters") or {})
        except ApiError as error:
            raise error.within("Failed to create a new run: Failed to generate the ExecutionSpec") from error
        self._check_plugins(body)
        run_id = self.identifier()
        name = f"{spec['pipelineInfo']['name']}-{run_id[:5]}"
        plugged = self.mlflow_url and not body.get("plugins_input", {}).get("mlflow", {}).get("disabled")
        entry = self.begin(run_id, {**body, **reference, "experiment_id": experiment}, spec, name)
        if plugged:
            link = f"{self.mlflow_url}/#/experiments/1/runs/{run_id[:8]}"
            entries = {"run_url": {"value": link, "render_type": "URL"}, "root_run_id": {"value": run_id[:8]}}
            entry["plugins_output"] = {"mlflow": {"state": "PLUGIN_SUCCEEDED", "entries": entries}}
        return entry

    def begin(self, run_id: str, body: Entry, spec: Mapping[str, Any], workflow: str) -> Entry:
        """Keep a run whose workflow begins."""
        created = self.time()
        entry = {
            **body,
            "run_id": run_id,
            "created_at": created,
            "scheduled_at": created,
            "finished_at": NEVER,
            "state": "PENDING",
            "storage_state": "AVAILABLE",
            "state_history": [{"update_time": created, "state": "PENDING"}],
        }
        self.runs[run_id] = entry
        steps = steps_of(spec)
        for step in steps:
            step.log = next((log for end, log in self.logs.items() if f".{step.place}".endswith(f".{end}")), "")
        self.workflows[run_id] = Workflow(
            workflow,
            self.now,
            steps,
            entry,
            admit=self.admit or self._admitted,
            failing=self.failing,
            pending=self.pending,
            attempts=self.attempts,
            everywhere=self.has_plugins,
            packed=self.packed,
        )
        return entry

    def _admitted(self, step: Step, run: Mapping[str, Any]) -> str | None:
        reference = run.get("pipeline_version_reference")
        struct = self.version_of(reference)["pipeline_spec"] if reference else run["pipeline_spec"]
        values = run.get("runtime_config", {}).get("parameters") or {}
        return admission.refusal(step, struct, values, self.version)

    def look_at(self, run_id: str) -> Entry:
        """Return a run with its tasks, after the progress that it makes at each look."""
        try:
            entry = get(self.runs, run_id, "Run")
        except ApiError as error:
            raise error.within("Failed to get a run") from error
        workflow = self.workflows[run_id]
        if entry["state"] == "CANCELING":
            self._remember(entry, "CANCELING")
            workflow.terminate()
            self._become(entry, "FAILED" if workflow.failed else "SUCCEEDED")
        elif entry["state"] not in ENDED and self.steps_per_look:
            workflow.advance(self.steps_per_look)
            ended = "FAILED" if workflow.failed else "SUCCEEDED"
            self._become(entry, ended if workflow.finished else "RUNNING")
        details = workflow.details(run_id) if entry["state"] != "PENDING" else []
        return {**entry, "run_details": {"task_details": details}} if details else dict(entry)

    def older_run(self, run_id: str) -> Entry:
        """Return what the API v1beta1 tells of a run: its workflow, from the first report on."""
        if not self.older_api:
            raise ApiError(NOT_FOUND, "Not Found")
        try:
            entry = get(self.runs, run_id, "Run")
        except ApiError as error:
            raise error.within("Failed to get a v1beta1 run") from error
        runtime = {"pipeline_manifest": "{}"}
        if entry["state"] != "PENDING":
            runtime["workflow_manifest"] = self.workflows[run_id].manifest(run_id, entry.get("namespace", NAMESPACE))
        return {"run": {"id": run_id, "name": entry["display_name"]}, "pipeline_runtime": runtime}

    def terminate(self, run_id: str) -> None:
        words = f"Failed to terminate a run: Failed to terminate run {run_id}"
        try:
            entry = get(self.runs, run_id, "Run")
        except ApiError as error:
            raise error.within(f"{words} due to error fetching the run") from error
        if entry["state"] in (*ENDED, "CANCELING"):
            raise ApiError(INVALID, f"{words}: Invalid input error: Failed to terminate a run {run_id}. Row not found")
        entry["state"] = "CANCELING"  # the history learns of it with the next report

    def log(self, run_id: str, pod: str) -> str:
        """Return the body that is sent with status 200, whatever comes of it; see `ReadRunLogV1`."""
        known = self.workflows[run_id].logs() if run_id in self.workflows else {}
        if pod in known and self.logs_kept:
            return known[pod]
        words = f"BadRequestError: Failed to read logs for run {run_id}"
        if run_id not in self.runs:
            message = f"{words} due to run fetching error: ResourceNotFoundError: Run {run_id} not found"
        else:
            message = (
                f"{words}: InternalServerError: Failed to read logs from archive {pod} due to error fetching the log "
                "file: The specified key does not exist."
            )
        return json.dumps({"error_message": message, "error_details": message}, separators=(",", ":"))

    def _become(self, entry: Entry, state: str) -> None:
        entry["state"] = state
        self._remember(entry, state)
        if state in ENDED and entry["finished_at"] == NEVER:
            entry["finished_at"] = self.time()

    def _remember(self, entry: Entry, state: str) -> None:
        if entry["state_history"][-1]["state"] != state:
            entry["state_history"].append({"update_time": self.time(), "state": state})

    # Schedules

    def create_recurring_run(self, body: Entry) -> Entry:
        schedules.check(body)
        experiment = self.experiment_of(body, "Failed to create a recurring run: Failed to create a recurring run")
        self._check_plugins(body)
        made = schedules.make(self, body)
        entry = {
            **body,
            "recurring_run_id": self.identifier(),
            "experiment_id": experiment,
            "created_at": self.time(),
            "updated_at": NEVER,
            "max_concurrency": str(body["max_concurrency"]),
            "mode": body.get("mode", "DISABLE"),
            "status": "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED",
        }
        self.recurring_runs[entry["recurring_run_id"]] = entry
        self.scheduled[entry["recurring_run_id"]] = made
        return entry

    def fire(self, recurring_run_id: str) -> Entry:
        """Do what the controller does when a schedule's time has come."""
        return schedules.fire(self, get(self.recurring_runs, recurring_run_id, "RecurringRun"))

    def _check_plugins(self, body: Entry) -> None:
        plugins = body.get("plugins_input")
        if plugins is None:
            return
        if not self.has_plugins:
            raise ApiError(INVALID, 'proto: (line 1:2): unknown field "plugins_input"')
        unknown = sorted(set(plugins.get("mlflow", {})) - MLFLOW_KEYS)
        if unknown:
            raise ApiError(INVALID, f'failed to resolve MLflow plugin input: json: unknown field "{unknown[0]}"')
