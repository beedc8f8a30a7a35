"""Runs on the server: started, found, looked into by task, read, cancelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from agent0.errors import UsageError
from agent0.kubeflow.client import Server, ServerError
from agent0.kubeflow.package import Package, package_of
from agent0.kubeflow.versions import NEWEST_FIRST, equals, in_namespace, pages, version_by_id

FINISHED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
FAILED = frozenset({"FAILED", "ERROR"})
LOOKED_BACK = 200  # newest runs among which the beginning of an identifier is looked for
_DRIVER = "-driver"


@dataclass(frozen=True)
class TaskState:
    """One task of a run. `number` counts the tasks of that name from 1, in the order in which they began."""

    name: str
    number: int
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    children: tuple[str, ...]
    pod: str

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
        recent = islice(list_runs(server), 1 if reference == "latest" else LOOKED_BACK)
        found = [run for run in recent if reference == "latest" or run.run_id.startswith(reference)]
    if len(found) == 1:
        return get_run(server, found[0].run_id)
    if not found:
        raise UsageError(f"There is no run {reference!r} on the server; `agent0 pipeline list --runs` shows them.")
    identifiers = ", ".join(run.run_id for run in found[:5])
    raise UsageError(f"{len(found)} runs are named {reference!r}; give an identifier: {identifiers}.")


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


def tasks_of_run(run: Any, package: Package) -> list[TaskState]:
    """Return the states of the tasks that run a container, in the order in which they began.

    The server lists the nodes of the workflow flatly: beside a task itself there is one that prepares it, named with
    `-driver`, and one called `executor` within it.
    """
    names = {task.name for task in package.containers}
    details = [detail for detail in (run.run_details.task_details if run.run_details else None) or ()]
    details.sort(key=lambda detail: _moment(detail.start_time) or datetime.max.replace(tzinfo=UTC))
    states, counts = [], Counter[str]()
    for detail in details:
        name = detail.display_name or ""
        broken_driver = detail.state in FAILED and name.endswith(_DRIVER)
        task = name.removesuffix(_DRIVER) if broken_driver else name
        if task not in names:
            continue
        counts[task] += 1
        error = (detail.error.message if detail.error else "") or ("it could not be prepared" if broken_driver else "")
        children = tuple(child.pod_name for child in detail.child_tasks or () if child.pod_name)
        started, finished = _moment(detail.start_time), _moment(detail.end_time)
        state = detail.state or "PENDING"
        states.append(TaskState(task, counts[task], state, started, finished, error, children, detail.pod_name or ""))
    return states


def expected_tasks(package: Package) -> dict[str, int]:
    """Return how many tasks of each name a run has at least, in the pipeline's order; a loop counts once."""
    return dict(Counter(task.name for task in package.containers))


def failure(run: Any, tasks: list[TaskState]) -> str:
    """Return a sentence that names the tasks that failed, and what the server says about it."""
    repeated = {task.name for task in tasks if task.number > 1}
    failed = [task for task in tasks if task.state in FAILED]
    named = ", ".join(f"{task.name} {task.number}" if task.name in repeated else task.name for task in failed)
    reasons = [task.error for task in failed if task.error]
    reasons += [run.error.message] if run.error and run.error.message else []
    why = f": {reasons[0]}" if reasons else ""
    if run.state == "CANCELED":
        return f"The run {run.run_id} was cancelled."
    return f"The run {run.run_id} failed{f' in {named}' if named else ''}{why}."


def mlflow_link(run: Any) -> str:
    """Return the address of the MLflow run that the server's plugin made, or nothing."""
    output = (run.plugins_output or {}).get("mlflow")
    entry = (output.entries or {}).get("run_url") if output else None
    return str(entry.value) if entry and entry.value else ""


def _moment(time: Any) -> datetime | None:
    """Return a time; what lies before 1971 is the server's way to say that there is none yet."""
    return time if isinstance(time, datetime) and time.year > 1970 else None
