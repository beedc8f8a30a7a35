"""What the test server keeps, and the rules by which it changes: those of the real server, or stricter."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.kubeflow import robfig
from tests.kubeflow.checking import (
    EXISTS,
    INVALID,
    NOT_FOUND,
    PRECONDITION,
    ApiError,
    check_parameters,
    check_struct,
    parse_pipeline,
)
from tests.kubeflow.simulation import Workflow, steps_of

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
MLFLOW_KEYS = {"experiment_name", "experiment_id", "disabled"}
Entry = dict[str, Any]


@dataclass
class State:
    """Everything on the server. The clock ticks a second at each thing made, so that tests repeat to the letter."""

    version: str = "2.17.0"
    multi_user: bool = False
    steps_per_look: int = 0
    failing: dict[str, str] = field(default_factory=dict)
    attempts: int = 1
    mlflow_url: str = ""
    experiments: dict[str, Entry] = field(default_factory=dict)
    pipelines: dict[str, Entry] = field(default_factory=dict)
    versions: dict[str, Entry] = field(default_factory=dict)
    runs: dict[str, Entry] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    recurring_runs: dict[str, Entry] = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    made: int = 0

    # Experiments

    def create_experiment(self, body: Entry) -> Entry:
        self._require_name(body, "Experiment")
        self._require_namespace(body.get("namespace", ""))
        self._refuse_twin(self.experiments, body, "experiment")
        entry = {**body, "experiment_id": self._identifier(), "created_at": self._time(), "storage_state": "AVAILABLE"}
        self.experiments[entry["experiment_id"]] = entry
        return entry

    # Pipelines and versions

    def create_pipeline(self, body: Entry) -> Entry:
        name = body.get("display_name") or body.get("name")
        self._require_name({"display_name": name}, "Pipeline")
        entry = {**body, "display_name": name, "pipeline_id": "", "created_at": ""}
        entry.setdefault("name", name)
        self._refuse_twin(self.pipelines, entry, "pipeline")
        entry |= {"pipeline_id": self._identifier(), "created_at": self._time()}
        self.pipelines[entry["pipeline_id"]] = entry
        return entry

    def upload_pipeline(self, text: str, query: Mapping[str, str]) -> Entry:
        """Make a pipeline with a first version of the same name, or neither."""
        struct = parse_pipeline(text)
        fields = ("name", "display_name", "description", "namespace")
        pipeline = self.create_pipeline({key: query[key] for key in fields if query.get(key)})
        self._add_version(pipeline["pipeline_id"], struct, {**query, "name": pipeline["display_name"]})
        return pipeline

    def upload_version(self, text: str, query: Mapping[str, str]) -> Entry:
        if query.get("pipelineid") not in self.pipelines:
            raise ApiError(INVALID, "Failed to create a pipeline version: there is no such pipeline")
        return self._add_version(query["pipelineid"], parse_pipeline(text), query)

    def _add_version(self, pipeline_id: str, struct: Entry, query: Mapping[str, str]) -> Entry:
        name = query.get("name") or query.get("display_name") or ""
        self._require_name({"display_name": name}, "Pipeline version")
        if any(v["pipeline_id"] == pipeline_id and v["name"] == name for v in self.versions.values()):
            raise ApiError(EXISTS, f"Failed to create a pipeline version: {name} already exists")
        entry = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": self._identifier(),
            "name": name,
            "display_name": query.get("display_name") or name,
            "created_at": self._time(),
            "pipeline_spec": struct,
        }
        if query.get("description"):
            entry["description"] = query["description"]
        self.versions[entry["pipeline_version_id"]] = entry
        return entry

    def delete_pipeline(self, pipeline_id: str) -> None:
        get(self.pipelines, pipeline_id, "Pipeline")
        if any(version["pipeline_id"] == pipeline_id for version in self.versions.values()):
            raise ApiError(PRECONDITION, f"Pipeline {pipeline_id} still has versions; delete them first")
        del self.pipelines[pipeline_id]

    def latest(self, pipeline_id: str) -> Entry:
        found = [item for item in self.versions.values() if item["pipeline_id"] == pipeline_id]
        if not found:
            raise ApiError(NOT_FOUND, f"Pipeline {pipeline_id} has no version")
        return max(found, key=lambda item: str(item["created_at"]))

    def version_of(self, reference: Entry) -> Entry:
        """Return the version that a reference names; with the pipeline alone, its newest."""
        get(self.pipelines, reference.get("pipeline_id", ""), "Pipeline")
        if not reference.get("pipeline_version_id"):
            return self.latest(reference["pipeline_id"])
        version = get(self.versions, reference["pipeline_version_id"], "PipelineVersion")
        if version["pipeline_id"] != reference["pipeline_id"]:
            raise ApiError(INVALID, "the version is of another pipeline")
        return version

    # Runs

    def create_run(self, body: Entry, recurring_run_id: str = "") -> Entry:
        self._require_name(body, "Run")
        spec, reference = self._source(body)
        config = body.get("runtime_config", {})
        check_parameters(spec, config.get("parameters") or {})
        self._check_plugins(body)
        run_id, created = self._identifier(), self._time()
        entry = {
            **body,
            "run_id": run_id,
            "experiment_id": self._experiment(body),
            "created_at": created,
            "scheduled_at": created,
            "state": "PENDING",
            "storage_state": "AVAILABLE",
            "state_history": [{"update_time": created, "state": "PENDING"}],
        }
        if reference:
            entry["pipeline_version_reference"] = reference
        if recurring_run_id:
            entry["recurring_run_id"] = recurring_run_id
        if self.mlflow_url and not body.get("plugins_input", {}).get("mlflow", {}).get("disabled"):
            link = f"{self.mlflow_url}/#/experiments/1/runs/{run_id[:8]}"
            entries = {"run_url": {"value": link, "render_type": "URL"}, "root_run_id": {"value": run_id[:8]}}
            entry["plugins_output"] = {"mlflow": {"state": "PLUGIN_SUCCEEDED", "entries": entries}}
        name = f"{spec['pipelineInfo']['name']}-{run_id[:5]}"
        self.runs[run_id] = entry
        self.workflows[run_id] = Workflow(name, self.now, steps_of(spec), failing=self.failing, attempts=self.attempts)
        return entry

    def look_at(self, run_id: str) -> Entry:
        """Return a run with its tasks, after the progress that it makes at each look."""
        entry, workflow = get(self.runs, run_id, "Run"), self.workflows[run_id]
        if entry["state"] == "CANCELING":
            self._become(entry, "CANCELED")
        elif entry["state"] not in ENDED and self.steps_per_look:
            workflow.advance(self.steps_per_look)
            self._become(entry, "FAILED" if workflow.failed else "SUCCEEDED" if workflow.finished else "RUNNING")
        details = (
            workflow.details(run_id, cancelled=entry["state"] == "CANCELED") if entry["state"] != "PENDING" else []
        )
        return {**entry, "run_details": {"task_details": details}}

    def terminate(self, run_id: str) -> None:
        entry = get(self.runs, run_id, "Run")
        if entry["state"] in ENDED:
            raise ApiError(PRECONDITION, f"Failed to terminate the run {run_id}: it has finished")
        self._become(entry, "CANCELING")

    def log(self, run_id: str, pod: str) -> str:
        get(self.runs, run_id, "Run")
        step = self.workflows[run_id].pods().get(pod)
        if step is None:
            raise ApiError((500, 13), f"Failed to read logs from pod {pod} due to error fetching the pod")
        return f"log of {step.path} from {pod}\n"

    def _become(self, entry: Entry, state: str) -> None:
        if entry["state"] != state:
            entry["state"] = state
            entry["state_history"].append({"update_time": self._time(), "state": state})
            if state in ENDED:
                entry["finished_at"] = self._time()

    # Schedules

    def create_recurring_run(self, body: Entry) -> Entry:
        self._require_name(body, "Recurring run")
        self._require_namespace(body.get("namespace", ""))
        spec, _ = self._source(body)
        check_parameters(spec, body.get("runtime_config", {}).get("parameters") or {})
        self._check_plugins(body)
        concurrency = int(body.get("max_concurrency", 0))
        if not 1 <= concurrency <= 10:
            raise ApiError(
                INVALID,
                f"The max concurrency of the recurring run is out of range. Support 1-10. Received {concurrency}.",
            )
        trigger = body.get("trigger") or {}
        if "cron_schedule" in trigger:
            try:
                robfig.parse(trigger["cron_schedule"].get("cron", ""))
            except robfig.CronError as error:
                raise ApiError(INVALID, f"Schedule cron is not a supported format. Error: {error}") from error
        elif int(trigger.get("periodic_schedule", {}).get("interval_second", 0)) < 1:
            raise ApiError(INVALID, "Found invalid period schedule interval. Set at interval to least 1 second.")
        entry = {
            **body,
            "recurring_run_id": self._identifier(),
            "experiment_id": self._experiment(body),
            "created_at": self._time(),
            "max_concurrency": str(concurrency),
            "mode": body.get("mode", "DISABLE"),
            "status": "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED",
        }
        self.recurring_runs[entry["recurring_run_id"]] = entry
        return entry

    def fire(self, recurring_run_id: str) -> Entry:
        """Do what the controller does when a schedule's time has come; a version is chosen now."""
        schedule = get(self.recurring_runs, recurring_run_id, "RecurringRun")
        fields = ("pipeline_version_reference", "pipeline_spec", "runtime_config", "experiment_id", "plugins_input")
        body = {key: schedule[key] for key in fields if key in schedule}
        return self.create_run({**body, "display_name": f"{schedule['display_name']} {self.made}"}, recurring_run_id)

    # Common rules

    def _source(self, body: Entry) -> tuple[Mapping[str, Any], Entry | None]:
        if ("pipeline_spec" in body) == ("pipeline_version_reference" in body):
            raise ApiError(INVALID, "Either a pipeline spec or a pipeline version is needed, not both")
        if "pipeline_spec" in body:
            return check_struct(body["pipeline_spec"]), None
        version = self.version_of(body["pipeline_version_reference"])
        reference = {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}
        return check_struct(version["pipeline_spec"]), reference

    def _experiment(self, body: Entry) -> str:
        if body.get("experiment_id"):
            return str(get(self.experiments, body["experiment_id"], "Experiment")["experiment_id"])
        if self.multi_user:
            raise ApiError(INVALID, "Experiment id can not be empty in multi-user mode")
        default = [item for item in self.experiments.values() if item["display_name"] == "Default"]
        return str((default or [self.create_experiment({"display_name": "Default"})])[0]["experiment_id"])

    def _check_plugins(self, body: Entry) -> None:
        plugins = body.get("plugins_input")
        if plugins is None:
            return
        if tuple(map(int, self.version.split(".")[:2])) < (2, 17):
            raise ApiError(INVALID, "this server does not know the field plugins_input")
        unknown = set(plugins.get("mlflow", {})) - MLFLOW_KEYS
        if set(plugins) - {"mlflow"} or unknown:
            raise ApiError(INVALID, f"failed to resolve MLflow plugin input: unknown field {sorted(unknown)}")

    def _require_name(self, body: Entry, kind: str) -> None:
        if not str(body.get("display_name") or "").strip():
            raise ApiError(INVALID, f"{kind} name is empty")

    def _require_namespace(self, namespace: str) -> None:
        if self.multi_user and not namespace:
            raise ApiError(INVALID, "Invalid input error: namespace is empty in multi-user mode")

    def _refuse_twin(self, entries: Mapping[str, Entry], body: Entry, kind: str) -> None:
        for other in entries.values():
            same = other["display_name"] == body["display_name"]
            if same and other.get("namespace", "") == body.get("namespace", ""):
                raise ApiError(EXISTS, f"The {kind} {body['display_name']} already exists. Specify a new name.")

    def _identifier(self) -> str:
        self.made += 1
        return str(uuid.uuid5(uuid.NAMESPACE_OID, str(self.made)))

    def _time(self) -> str:
        self.now += timedelta(seconds=1)
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")


def get(entries: Mapping[str, Entry], identifier: str, kind: str) -> Entry:
    """Return an entry, or refuse as the server does."""
    if identifier not in entries:
        raise ApiError(NOT_FOUND, f"ResourceNotFoundError: {kind} {identifier} not found.")
    return entries[identifier]
