"""Runs on the server: started, found, looked into by task, cancelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from agent0.errors import UsageError
from agent0.kubeflow.compiled_pipeline import Package, package_of
from agent0.kubeflow.pipeline_versions import NEWEST_FIRST, equals, in_namespace, pages, version_by_id
from agent0.kubeflow.run_workflow import Node, Workflow
from agent0.kubeflow.server_connection import Server, ServerError
from agent0.tracking.review import opening_charts

FINISHED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
GOING_ON = frozenset({"RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "CANCELING", "PAUSED"})
FAILED = "FAILED"
LOOKED_BACK = 200  # newest runs among which the beginning of an identifier is looked for
_DRIVER = "-driver"
_OF_PHASES = {"Error": FAILED, "Omitted": "", "": "PENDING"}  # the server knows others by the same word, in capitals


@dataclass(frozen=True)
class TaskState:
    """One task of a run. `number` counts the tasks of that name from 1, in the order in which they began.

    What the workflow alone knows is empty without it: `error`, what Argo says of the task; `exit_code`; and `pods`, of
    each attempt, the last one last. A task is `broken` if it could not be prepared: its pod is the driver's then.
    """

    name: str
    number: int
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    error: str = ""
    exit_code: int | None = None
    pods: tuple[str, ...] = ()
    broken: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it took, or has taken so far."""
        if self.started_at is None:
            return None
        return ((self.finished_at or datetime.now(UTC)) - self.started_at).total_seconds()


def create_run(
    server: Server,
    source: Mapping[str, Any],
    parameters: Mapping[str, Any],
    *,
    name: str,
    experiment: str,
    service_account: str = "",
    pipeline_root: str = "",
    plugins: Mapping[str, Any] | None = None,
) -> Any:
    """Start a run.

    Args:
        server: where.
        source: `pipeline_version_reference` or `pipeline_spec`, as the run's request names them.
        parameters: checked values by name.
        name: what the run is called.
        experiment: the experiment that it is filed under, made where it is missing.
        service_account: the pods' service account; the server's own if empty.
        pipeline_root: where artifacts go; the server's own place if empty.
        plugins: input of the server's plugins, such as its MLflow integration.
    """
    import kfp_server_api

    body = kfp_server_api.V2beta1Run(
        display_name=name,
        experiment_id=experiment_id(server, experiment),
        runtime_config=runtime_config(parameters, pipeline_root),
        service_account=service_account or None,
        plugins_input=dict(plugins) if plugins else None,
        **source,
    )
    return server.client._run_api.run_service_create_run(body)


def runtime_config(parameters: Mapping[str, Any], pipeline_root: str = "") -> Any:
    """Return the values of a run or of a schedule as its request holds them."""
    import kfp_server_api

    return kfp_server_api.V2beta1RuntimeConfig(parameters=dict(parameters), pipeline_root=pipeline_root or None)


def reference_to(pipeline_id: str, version_id: str = "") -> Any:
    """Return the reference to a version, or to whatever is a pipeline's newest when it is used."""
    import kfp_server_api

    return kfp_server_api.V2beta1PipelineVersionReference(
        pipeline_id=pipeline_id, pipeline_version_id=version_id or None
    )


def mlflow_input(server: Server, package: Package, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the input of the server's MLflow plugin: the run's experiment; None for an older server."""
    declared = package.inputs.get("tracking")
    tracking = parameters.get("tracking") or (declared.default if declared else None)
    if not server.knows_plugins or not isinstance(tracking, dict) or not tracking.get("experiment"):
        return None
    return {"mlflow": {"experiment_name": tracking["experiment"]}}


def experiment_id(server: Server, name: str) -> str:
    """Return the experiment of a name; it is made if there is none."""
    import kfp_server_api

    api, namespace = server.client._experiment_api, in_namespace(server)
    call = api.experiment_service_list_experiments
    for found in pages(call, "experiments", filter=equals("display_name", name), namespace=namespace):
        return str(found.experiment_id)
    body = kfp_server_api.V2beta1Experiment(display_name=name, namespace=namespace or None)
    return str(api.experiment_service_create_experiment(body).experiment_id)


def list_runs(server: Server, **options: Any) -> Iterator[Any]:
    """Yield runs, the newest first."""
    call = server.client._run_api.run_service_list_runs
    return pages(call, "runs", sort_by=NEWEST_FIRST, namespace=in_namespace(server), **options)


def find_run(server: Server, reference: str) -> Any:
    """Return the run that an identifier, its beginning, a name, or `latest` stands for.

    Raises:
        UsageError: there is none, or more than one.
    """
    if len(reference) == 36:
        return get_run(server, reference)
    found = list(list_runs(server, filter=equals("display_name", reference)))
    if not found:
        found = _recent(server, reference)
    if len(found) == 1:
        return get_run(server, found[0].run_id)
    if not found:
        raise UsageError(f"There is no run {reference!r} on the server; `agent0 pipeline list --runs` shows them.")
    identifiers = ", ".join(run.run_id for run in found[:5])
    raise UsageError(f"{len(found)} runs are named {reference!r}; give an identifier: {identifiers}.")


def _recent(server: Server, reference: str) -> list[Any]:
    """Return the newest run that is not archived for `latest`; else those whose identifier begins so."""
    recent = islice(list_runs(server), LOOKED_BACK)
    if reference == "latest":
        return list(islice((run for run in recent if run.storage_state != "ARCHIVED"), 1))
    return [run for run in recent if run.run_id.startswith(reference)]


def get_run(server: Server, run_id: str) -> Any:
    """Return a run with its tasks."""
    try:
        return server.client._run_api.run_service_get_run(run_id)
    except ServerError as error:
        if error.status == 404:
            raise UsageError(f"There is no run {run_id} on the server.") from error
        raise


def package_of_run(server: Server, run: Any) -> Package:
    """Return the pipeline of a run."""
    if run.pipeline_spec:
        return package_of(run.pipeline_spec, f"Run {run.run_id}")
    reference = run.pipeline_version_reference
    return version_by_id(server, reference.pipeline_id, reference.pipeline_version_id).package


def tasks_of_run(run: Any, package: Package, workflow: Workflow | None = None) -> list[TaskState]:
    """Return the states of the tasks that run a container, in the order in which they began.

    The server lists the nodes of the workflow flatly: beside a task itself there is one that prepares it, named with
    `-driver`, and one called `executor` within it. A driver that failed stands for its task. What was omitted, because
    something before it failed, never began.
    """
    names = {task.name for task in package.containers}
    known = (_state_in(node, workflow) for node in workflow.nodes) if workflow else _states_told(run)
    counts: Counter[str] = Counter()
    states = []
    for state in known:
        broken = state.state == FAILED and state.name.endswith(_DRIVER)
        name = state.name.removesuffix(_DRIVER) if broken else state.name
        if state.state and (broken or name in names):
            counts[name] += 1
            error = state.error or ("it could not be prepared" if broken else "")
            states.append(replace(state, name=name, number=counts[name], error=error, broken=broken))
    return states


def pending_seconds(run: Any) -> float:
    """Return for how long a pod of the run has waited; 0 if none waits."""
    details = (run.run_details.task_details if run.run_details else None) or ()
    since = [_moment(detail.start_time) for detail in details if detail.state == "PENDING"]
    return max(((datetime.now(UTC) - moment).total_seconds() for moment in since if moment), default=0.0)


def _states_told(run: Any) -> Iterable[TaskState]:
    """Return what the API of runs tells of each node; a state that it leaves out is that of an omitted one."""
    details = list((run.run_details.task_details if run.run_details else None) or ())
    details.sort(key=lambda detail: _moment(detail.start_time) or datetime.max.replace(tzinfo=UTC))
    return (
        TaskState(
            detail.display_name or "",
            0,
            detail.state or "",
            _moment(detail.start_time),
            _moment(detail.end_time),
        )
        for detail in details
    )


def _state_in(node: Node, workflow: Workflow) -> TaskState:
    """Return the state of a node; that of a task whose pod waits is PENDING, though Argo calls it running."""
    pods = workflow.pods_in(node)
    last = pods[-1] if pods else node
    state = _OF_PHASES.get(node.phase, node.phase.upper())
    if state == "RUNNING" and last.phase == "Pending":
        state = "PENDING"
    return TaskState(
        node.label,
        0,
        state,
        node.started_at,
        node.finished_at,
        error=last.message or node.message if state in (FAILED, "PENDING") else "",
        exit_code=last.exit_code,
        pods=tuple(pod.pod for pod in pods),
    )


def was_cancelled(run: Any, workflow: Workflow | None = None) -> bool:
    """Whether a person ended a run: the server calls it FAILED then, after it was CANCELING."""
    before = [status.state for status in run.state_history or ()][-2:-1]
    return run.state == "CANCELED" or before == ["CANCELING"] or bool(workflow and workflow.cancelled)


def mlflow_link(run: Any) -> str:
    """Return the address of the charts of the MLflow run that the server's plugin made, or nothing."""
    output = (run.plugins_output or {}).get("mlflow")
    entry = (output.entries or {}).get("run_url") if output else None
    return opening_charts(str(entry.value)) if entry and entry.value else ""


def _moment(time: Any) -> datetime | None:
    """Return a time; what lies before 1971 is the server's way to say that there is none yet."""
    return time if isinstance(time, datetime) and time.year > 1970 else None
