"""`agent0 pipeline run`: start a run on the server, and wait for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent0.cli.interruption import interruptible
from agent0.cli.pipeline_options import connected
from agent0.cli.screen import show_json
from agent0.cli.shared_options import AsJson
from agent0.errors import Agent0Error, UsageError
from agent0.kubeflow.server_connection import RELIABLE_SERVER, Connection, Server, connect

if TYPE_CHECKING:
    from agent0.kubeflow.compiled_pipeline import Package

EXPERIMENT = "agent0"

Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", help="name=value, or section.key=value. May be given several times."),
]
ParametersFile = Annotated[
    str,
    typer.Option(
        show_default=False, help="JSON, YAML or TOML file of values by name, local or s3://; --param overrides it."
    ),
]
Model = Annotated[str, typer.Option("--model", "-m", help="Short for --param model.source=…")]
Benchmarks = Annotated[str, typer.Option("--benchmarks", "-b", help="Short for --param evaluation.benchmarks=…")]
Experiment = Annotated[
    str,
    typer.Option(
        envvar=["KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME", "KF_PIPELINES_DEFAULT_EXPERIMENT_NAME"],
        help="Experiment to file it under; made where it is missing.",
    ),
]
ServiceAccount = Annotated[
    str, typer.Option(show_default=False, help="Service account of the pods; the server's if not given.")
]
PipelineRoot = Annotated[
    str, typer.Option(show_default=False, help="Where artifacts go, e.g. s3://bucket/path; the server's if not given.")
]
Mlflow = Annotated[
    bool, typer.Option("--mlflow/--no-mlflow", help="Use the server's own MLflow integration, where it has one.")
]
Run = Annotated[str, typer.Argument(help="Identifier of the run, its beginning, its name, or 'latest'.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Show progress until it has finished.")]
Interval = Annotated[float, typer.Option(min=0.05, max=86_400, help="Seconds between two looks while waiting.")]


def assignments(parameters: list[str] | None, model: str, benchmarks: str) -> list[str]:
    """Return the assignments of `--param` and, over them, those of the short options."""
    short = {"model.source": model, "evaluation.benchmarks": benchmarks}
    return [*(parameters or []), *(f"{name}={value}" for name, value in short.items() if value)]


@connected
def run_pipeline(
    pipeline: Annotated[str, typer.Argument(help="A pipeline on the server, or a compiled file, local or s3://.")],
    parameters: Parameters = None,
    params_file: ParametersFile = "",
    model: Model = "",
    benchmarks: Benchmarks = "",
    version: Annotated[str, typer.Option(help="Version of the pipeline; the newest if not given.")] = "",
    name: Annotated[str, typer.Option(help="Name of the run; pipeline and time if not given.")] = "",
    experiment: Experiment = EXPERIMENT,
    service_account: ServiceAccount = "",
    pipeline_root: PipelineRoot = "",
    mlflow: Mlflow = True,
    wait: Wait = False,
    interval: Interval = 5.0,
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """Run a pipeline. What is set is checked against the pipeline before anything is sent.

    Example: [bold]agent0 pipeline run evolution --param seed=1 --param executor.steps=20 --wait[/bold]

    With --wait, exits with 1 if the run fails. Ctrl-C ends the waiting, not the run.
    """
    from agent0.kubeflow.ablation_runs import divided, label_of
    from agent0.kubeflow.acceptance import release_of
    from agent0.kubeflow.acceptance.finding_sentences import require_accepted
    from agent0.kubeflow.compiled_pipeline import names_file, read_package
    from agent0.kubeflow.parameters import check_models, resolve_parameters
    from agent0.kubeflow.pipeline_versions import find_version, latest_version, require_pipeline
    from agent0.kubeflow.server_runs import create_run, mlflow_input, reference_to

    check_wait(wait=wait, as_json=as_json)
    given = assignments(parameters, model, benchmarks)
    if names_file(pipeline):
        if version:
            raise UsageError("--version chooses among versions on the server; a file is its own.")
        package = read_package(pipeline)
        label, source = pipeline, {"pipeline_spec": package.as_struct()}
        values = resolve_parameters(package, given, params_file)
        server = connect(connection)
    else:
        server = connect(connection)
        owner = require_pipeline(server, pipeline)
        chosen = find_version(server, owner, version) if version else latest_version(server, owner)
        package, label = chosen.package, str(chosen)
        source = {"pipeline_version_reference": reference_to(chosen.pipeline_id, chosen.version_id)}
        values = resolve_parameters(package, given, params_file)
    release = release_of(server.version)
    named = name or f"{package.name} {datetime.now(UTC):%Y-%m-%d %H-%M-%S}"
    parts = divided(package, release, values, named)
    for part in parts:
        require_accepted(package, release, part)
    check_models(values)
    started = []
    for part in parts:
        run = create_run(
            server,
            source,
            part,
            name=named if len(parts) == 1 else f"{named} {label_of(part)}",
            experiment=experiment,
            service_account=service_account,
            pipeline_root=pipeline_root,
            plugins=mlflow_input(server, package, part) if mlflow else None,
        )
        started.append(run)
    announce(server, started, label, as_json=as_json)
    if len(parts) > 1 and not as_json:
        print(f"note      one workflow would not hold the ablation: {len(parts)} runs, compared as the group {named!r}")
    for run in started if wait else ():
        wait_for(server, run.run_id, package, interval)


def check_wait(*, wait: bool, as_json: bool) -> None:
    """Refuse to show progress where a script reads.

    Raises:
        UsageError: both are asked for.
    """
    if wait and as_json:
        raise UsageError("--json prints what was started and ends; wait with: agent0 pipeline status RUN --wait")


def announce(server: Server, runs: Sequence[Any], pipeline: str, *, as_json: bool) -> None:
    """Say which runs were started, of which pipeline, and where their pages are; to a script as a list."""
    pages = [server.link("runs", run.run_id) for run in runs]
    if as_json:
        show_json(
            [
                {"run_id": run.run_id, "name": run.display_name, "pipeline": pipeline, "page": page}
                for run, page in zip(runs, pages, strict=True)
            ]
        )
        return
    for run, page in zip(runs, pages, strict=True):
        print(f"run       {run.run_id}  {run.display_name}\npipeline  {pipeline}\npage      {page}")


def wait_for(server: Server, run_id: str, package: Package, interval: float) -> None:
    """Show a run until it has finished, then its state, where its MLflow run is, and why it failed.

    Raises:
        Agent0Error: it failed or was cancelled.
        InterruptionError: by Ctrl-C.
    """
    from agent0.cli.pipeline_watch import watch
    from agent0.kubeflow.diagnosis import failures, paragraphs, sentence
    from agent0.kubeflow.run_workflow import read_workflow
    from agent0.kubeflow.server_runs import mlflow_link, tasks_of_run

    if server.version and server.version < RELIABLE_SERVER:
        print(f"note      Kubeflow Pipelines {server.version_text} may tell the states of nested tasks wrongly.")
    with _left_running(run_id):
        run = watch(server, run_id, package, interval=interval)
    link = mlflow_link(run) or _tracking_place(package, run)
    print(f"state     {run.state}" + (f"\nmlflow    {link}" if link else ""))
    if run.state != "SUCCEEDED":
        workflow = read_workflow(server, run_id)
        tasks = tasks_of_run(run, package, workflow)
        for line in paragraphs(failures(server, run, tasks, package, workflow)):
            print(line)
        raise Agent0Error(sentence(run, tasks, workflow))


@contextmanager
def _left_running(run_id: str) -> Iterator[None]:
    """Say, when the waiting ends early, that the run does not."""
    told = (
        f"No longer waiting; the run goes on. Watch it again with: agent0 pipeline status {run_id} --wait; "
        f"end it with: agent0 pipeline cancel {run_id}"
    )
    with interruptible(told):
        try:
            yield
        except Agent0Error as error:
            raise Agent0Error(f"{error} The run {run_id} goes on.") from error


def _tracking_place(package: Package, run: Any) -> str:
    """Return where to look when the server has no MLflow integration: the tracking server of this environment."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    declared = package.inputs.get("tracking")
    given = (run.runtime_config.parameters or {}) if run.runtime_config else {}
    tracking = given.get("tracking") or (declared.default if declared else None) or {}
    if not uri.startswith(("http://", "https://")) or not tracking.get("experiment"):
        return ""
    return f"{uri}, experiment {tracking['experiment']}"
