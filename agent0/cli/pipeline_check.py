"""`agent0 pipeline check | show`: what a cluster makes of a compiled pipeline, without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent0.cli.pipeline_options import connected
from agent0.cli.pipeline_run import Parameters, ParametersFile
from agent0.cli.pipeline_version import REFERENCE_HELP, package_named
from agent0.cli.screen import show_json
from agent0.cli.shared_options import AsJson
from agent0.kubeflow.server_connection import Connection

if TYPE_CHECKING:
    from agent0.kubeflow.acceptance import Checked, Release
    from agent0.kubeflow.compiled_pipeline import Package

Reference = Annotated[str, typer.Argument(help=REFERENCE_HELP)]


@connected
def check_pipeline(
    pipeline: Reference,
    server: Annotated[
        list[str] | None,
        typer.Option("--server", help="Release of Kubeflow Pipelines, 2.16 or 2.17; every supported one if not given."),
    ] = None,
    parameters: Parameters = None,
    params_file: ParametersFile = "",
    render: Annotated[
        Path | None,
        typer.Option(show_default=False, help="Folder for the pods as Kubernetes YAML, one file each by release."),
    ] = None,
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """Check a compiled pipeline against what a server, its driver, Argo and Kubernetes accept. Exits with 1 if not.

    Example: [bold]agent0 pipeline check evolution.yaml --server 2.17 --render pods[/bold]

    Compiling, uploading, running and scheduling check as well; this says everything, for the values of a run, too.
    """
    from agent0.kubeflow.acceptance import RELEASES, check_package, release_named
    from agent0.kubeflow.parameters import resolve_parameters

    releases = [release_named(name) for name in server or RELEASES]
    _, package = package_named(pipeline, connection)
    values = resolve_parameters(package, parameters or [], params_file, complete=False)
    checked = {release: check_package(package, release, values) for release in releases}
    if render is not None:
        for release, found in checked.items():
            write_pods(found, render / str(release))
    if as_json:
        show_json({str(release): record(found) for release, found in checked.items()})
    else:
        for release, found in checked.items():
            print(verdict(package, release, found))
    raise typer.Exit(0 if all(found.accepted for found in checked.values()) else 1)


def verdict(package: Package, release: Release, checked: Checked) -> str:
    """Return what a check found, for people."""
    from agent0.kubeflow.acceptance.finding_sentences import sentences

    fatal = sentences(finding for finding in checked.findings if finding.fatal)
    advice = sentences(finding for finding in checked.findings if not finding.fatal)
    word = "accepts" if not fatal else "would not run"
    size = f"{checked.size.pods} pods, a workflow of about {checked.size.total / 2**20:.2f} of 1 MiB"
    head = f"Kubeflow Pipelines {release} {word} {package.name}: {size}"
    return "\n".join([head, *(f"  error    {line}" for line in fatal), *(f"  warning  {line}" for line in advice)])


def record(checked: Checked) -> dict[str, object]:
    """Return what a check found, for programs."""
    return {
        "accepted": checked.accepted,
        "findings": [vars(finding) for finding in checked.findings],
        "pods": len(checked.pods),
        "workflow_bytes": checked.size.total,
    }


def write_pods(checked: Checked, folder: Path) -> None:
    """Write each pod as YAML, numbered in the order of the pipeline's tasks."""
    import yaml

    from agent0.storage.atomic_file import atomic_write

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        """Writes what is the same twice, not as a reference."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    for number, pod in enumerate(checked.pods, 1):
        with atomic_write(folder / f"{number:03}-{pod.manifest['metadata']['name']}.yaml") as file:
            file.write(f"# {pod.task.name}\n{yaml.dump(pod.manifest, Dumper=Plain, sort_keys=False)}")


@connected
def show_pipeline(
    pipeline: Reference,
    parameters: Parameters = None,
    params_file: ParametersFile = "",
    *,
    connection: Connection,
) -> None:
    """Print what a pipeline asks of a cluster, as a sheet for its team: pods, volumes, secrets, rights, network.

    Example: [bold]agent0 pipeline show evolution.yaml > sheet.md[/bold]
    """
    from agent0.kubeflow.acceptance import check_package, release_named
    from agent0.kubeflow.acceptance.releases import RELEASES
    from agent0.kubeflow.cluster_sheet import sheet
    from agent0.kubeflow.parameters import resolve_parameters

    _, package = package_named(pipeline, connection)
    values = resolve_parameters(package, parameters or [], params_file, complete=False)
    print(sheet(package, check_package(package, release_named(list(RELEASES)[-1]), values), values))
