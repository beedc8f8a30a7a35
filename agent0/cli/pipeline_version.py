"""`agent0 pipeline params | upload | list | diff`: compiled pipelines and their versions on the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from agent0.cli.pipeline_options import connected
from agent0.cli.screen import Table, show_json
from agent0.cli.shared_options import AsJson
from agent0.kubeflow.server_connection import Connection, Server, connect

if TYPE_CHECKING:
    from agent0.kubeflow.compiled_pipeline import Package
    from agent0.kubeflow.pipeline_difference import Difference

REFERENCE_HELP = "A compiled file (local or s3://), NAME@VERSION, or NAME for the newest version."


def date(time: Any) -> str:
    """Return a time for people."""
    return time.strftime("%Y-%m-%d %H:%M") if time is not None and time.year > 1970 else "–"


def package_named(reference: str, connection: Connection, other: str = "") -> tuple[str, Package]:
    """Return a label and the pipeline that a reference names; a file needs no server. See `resolve_reference`."""
    from agent0.kubeflow.compiled_pipeline import names_file, read_package
    from agent0.kubeflow.pipeline_versions import resolve_reference

    if names_file(reference):
        return reference, read_package(reference)
    return resolve_reference(connect(connection), reference, other)


@connected
def show_parameters(
    pipeline: Annotated[str, typer.Argument(help=REFERENCE_HELP)],
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """Show what can be set on a run: each parameter with type, default and description.

    Example: [bold]agent0 pipeline params evolution.yaml[/bold], then agent0 pipeline run … --param executor.steps=20
    """
    _, package = package_named(pipeline, connection)
    if as_json:
        show_json([vars(item) for item in package.inputs.values()])
    else:
        parameter_table(package).show()


def parameter_table(package: Package) -> Table:
    """Return the run parameters; the keys of a STRUCT follow it, as `--param` names them."""
    made = Table("parameter", "type", "default", "what it is", spare=("type",))
    for item in package.inputs.values():
        nested = isinstance(item.default, dict) and item.default
        default = "required" if item.required else ("" if nested else json.dumps(item.default, ensure_ascii=False))
        made.add(item.name, item.type, default, item.description)
        for key, value in _leaves(item.default) if nested else ():
            made.add(Text(f"{item.name}.{key}", "dim"), "", json.dumps(value, ensure_ascii=False), "")
    return made


def _leaves(values: dict[str, Any], head: str = "") -> list[tuple[str, Any]]:
    rows = []
    for key, value in values.items():
        rows += _leaves(value, f"{head}{key}.") if isinstance(value, dict) and value else [(f"{head}{key}", value)]
    return rows


@connected
def upload_pipeline(
    file: Annotated[str, typer.Argument(help="A file of `agent0 pipeline compile`, local or s3://.")],
    version: Annotated[
        str, typer.Option(help="Name of the version; package version, commit and iterations if not given.")
    ] = "",
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """Upload a compiled pipeline: a new pipeline, or a new version of it. The same content is never uploaded twice.

    Example: [bold]agent0 pipeline upload evolution.yaml[/bold]
    """
    from agent0.kubeflow.acceptance import release_of
    from agent0.kubeflow.acceptance.finding_sentences import require_accepted
    from agent0.kubeflow.compiled_pipeline import read_package
    from agent0.kubeflow.pipeline_versions import upload
    from agent0.storage.uri_files import read_file

    package = read_package(file)  # a file that is none needs no server to say so
    server = connect(connection)
    require_accepted(package, release_of(server.version))
    with read_file(file) as path:
        done = upload(server, package, path, version)
    page = server.link("pipelines", f"{done.version.pipeline_id}/version/{done.version.version_id}")
    if as_json:
        named = {"pipeline": package.name, "version": done.version.name}
        ids = {"pipeline_id": done.version.pipeline_id, "version_id": done.version.version_id}
        show_json({**named, **ids, "new": done.made_version, "page": page})
        return
    if not done.made_version:
        print(f"{done.version} holds the same content already; nothing was uploaded.")
    elif done.made_pipeline:
        print(f"{done.version}: new pipeline, with its first version")
    else:
        print(f"{done.version}: new version")
    print(page)


@connected
def list_pipelines(
    name: Annotated[str, typer.Argument(help="A pipeline, to list its versions; all pipelines if not given.")] = "",
    runs: Annotated[bool, typer.Option("--runs", help="List runs, the newest first.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many at most; 0: all.")] = 20,
    as_json: AsJson = False,
    *,
    connection: Connection,
) -> None:
    """List pipelines, the versions of one, or runs.

    Example: [bold]agent0 pipeline list evolution[/bold], or agent0 pipeline list --runs --limit 50
    """
    server = connect(connection)
    table, rows = _runs(server, name) if runs else (_versions(server, name) if name else _pipelines(server))
    for row in islice(rows, limit or None):
        table.add(*row)
    if next(rows, None):
        table.notes = (f"… and more than these {len(table.rows)}; --limit 0 lists all.",)
    table.show(as_json=as_json)


Listed = tuple[Table, Iterator[tuple[str, ...]]]
"""An empty table, and its rows."""


def _pipelines(server: Server) -> Listed:
    from agent0.kubeflow import pipeline_versions

    return Table("pipeline", "created", "what it is"), (
        (pipeline.display_name, date(pipeline.created_at), pipeline.description or "")
        for pipeline in pipeline_versions.list_pipelines(server)
    )


def _versions(server: Server, name: str) -> Listed:
    from agent0.kubeflow import pipeline_versions

    return Table("version", "created", "iterations", "images", right=("iterations",), spare=("iterations",)), (
        (
            version.name,
            date(version.created_at),
            str(version.package.iterations or "–"),
            "\n".join(sorted(set(version.package.images.values()))),
        )
        for version in pipeline_versions.versions_of(server, pipeline_versions.require_pipeline(server, name))
    )


def _runs(server: Server, name: str) -> Listed:
    from agent0.kubeflow.pipeline_versions import require_pipeline
    from agent0.kubeflow.server_runs import list_runs

    wanted = require_pipeline(server, name).pipeline_id if name else ""
    return Table("run", "name", "state", "created", "finished", spare=("finished", "created")), (
        (run.run_id, run.display_name, run.state or "", date(run.created_at), date(run.finished_at))
        for run in list_runs(server)
        if not wanted or ((of := run.pipeline_version_reference) and of.pipeline_id == wanted)
    )


@connected
def diff_pipelines(
    old: Annotated[str, typer.Argument(help=REFERENCE_HELP)],
    new: Annotated[str, typer.Argument(help=f"{REFERENCE_HELP} A bare version is of the other one's pipeline.")],
    raw: Annotated[bool, typer.Option("--raw", help="Print a unified diff of the YAML.")] = False,
    *,
    connection: Connection,
) -> None:
    """Compare two compiled pipelines: parameters, images, tasks, options. Exits with 1 if they differ.

    Example: [bold]agent0 pipeline diff evolution.yaml evolution[/bold]
    """
    from agent0.kubeflow.pipeline_difference import compare_packages, raw_difference

    (old_label, before), (new_label, after) = (
        package_named(old, connection, new),
        package_named(new, connection, old),
    )
    differences = compare_packages(before, after)
    if raw:
        print("\n".join(raw_difference(before, after, (old_label, new_label))))
    elif differences:
        difference_table(differences, old_label, new_label).show()
    else:
        print(f"{old_label} and {new_label} are the same.")
    raise typer.Exit(1 if differences else 0)


def difference_table(differences: list[Difference], old: str, new: str) -> Table:
    """Return what differs, side by side."""
    made = Table("what", "where", old, new)
    for item in differences:
        made.add(item.kind, item.where, *("–" if side is None else side for side in (item.old, item.new)))
    return made
