"""Pipelines and their versions on the server: found by name, uploaded without leaving anything half-made.

A version is never changed. Its name says where it comes from: version of the package, commit, iterations.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import agent0
from agent0.errors import UsageError
from agent0.kubeflow.compiled_pipeline import Package, names_file, package_of, read_package
from agent0.kubeflow.server_connection import Server, ServerError
from agent0.storage.digest import code_version

PAGE_SIZE = 50
SPEC_PAGE_SIZE = 10  # each entry carries a whole pipeline
NEWEST_FIRST = "created_at desc"
NAME_PREFIX = "agent0-"


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the server."""

    pipeline_id: str
    pipeline_name: str
    version_id: str
    name: str
    created_at: Any
    package: Package

    def __str__(self) -> str:
        return f"{self.pipeline_name}@{self.name}"


@dataclass(frozen=True)
class Upload:
    """What an upload came to: the version that holds the content, and what had to be made for it."""

    version: Version
    made_pipeline: bool
    made_version: bool


def pages(call: Callable[..., Any], field: str, size: int = PAGE_SIZE, **options: Any) -> Iterator[Any]:
    """Yield the entries of every page of a list request."""
    token = ""
    while True:
        page = call(page_token=token, page_size=size, **{key: value for key, value in options.items() if value})
        yield from getattr(page, field) or ()
        token = page.next_page_token or ""
        if not token:
            return


def equals(key: str, value: str) -> str:
    """Return the filter of a list request for entries whose `key` is `value`."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})


def in_namespace(server: Server) -> str:
    """Return the namespace of requests; a server for one user has none."""
    return server.namespace if server.multi_user else ""


def list_pipelines(server: Server) -> list[Any]:
    """Return every pipeline that the user sees: those of the namespace, and those that all share."""
    call = server.client._pipelines_api.pipeline_service_list_pipelines
    own = list(pages(call, "pipelines", sort_by=NEWEST_FIRST, namespace=in_namespace(server)))
    shared = list(pages(call, "pipelines", sort_by=NEWEST_FIRST)) if in_namespace(server) else []
    return own + [pipeline for pipeline in shared if pipeline.pipeline_id not in {item.pipeline_id for item in own}]


def find_pipeline(server: Server, name: str) -> Any | None:
    """Return the pipeline of a name, or None; the namespace's own comes before a shared one."""
    call = server.client._pipelines_api.pipeline_service_list_pipelines
    for namespace in dict.fromkeys((in_namespace(server), "")):
        found = list(pages(call, "pipelines", filter=equals("display_name", name), namespace=namespace))
        if len(found) > 1:
            identifiers = ", ".join(pipeline.pipeline_id for pipeline in found)
            raise UsageError(f"{len(found)} pipelines are named {name!r} ({identifiers}); delete all but one.")
        if found:
            return found[0]
    return None


def require_pipeline(server: Server, name: str) -> Any:
    """Return the pipeline of a name; `evaluation` stands for `agent0-evaluation`."""
    found = find_pipeline(server, name) or find_pipeline(server, NAME_PREFIX + name)
    if found is None:
        names = sorted(pipeline.display_name for pipeline in list_pipelines(server))
        there = f"there are: {', '.join(names)}" if names else "there is none yet"
        raise UsageError(
            f"There is no pipeline {name!r} on the server ({there}); upload one with `agent0 pipeline upload`."
        )
    return found


def versions_of(server: Server, pipeline: Any) -> Iterator[Version]:
    """Yield the versions of a pipeline, the newest first."""
    call = server.client._pipelines_api.pipeline_service_list_pipeline_versions
    for entry in pages(
        call, "pipeline_versions", SPEC_PAGE_SIZE, pipeline_id=pipeline.pipeline_id, sort_by=NEWEST_FIRST
    ):
        yield _version(pipeline, entry)


def latest_version(server: Server, pipeline: Any) -> Version:
    """Return the newest version of a pipeline."""
    newest = next(versions_of(server, pipeline), None)
    if newest is None:
        raise UsageError(f"The pipeline {pipeline.display_name} has no version; upload one.")
    return newest


def find_version(server: Server, pipeline: Any, name: str) -> Version:
    """Return the version of a name or identifier."""
    names = []
    for version in versions_of(server, pipeline):
        if name in (version.name, version.version_id):
            return version
        names.append(version.name)
    raise UsageError(f"The pipeline {pipeline.display_name} has no version {name!r}; there are: {', '.join(names)}.")


def version_by_id(server: Server, pipeline_id: str, version_id: str) -> Version:
    """Return the version that a run or a schedule refers to."""
    api = server.client._pipelines_api
    pipeline = api.pipeline_service_get_pipeline(pipeline_id)
    return _version(pipeline, api.pipeline_service_get_pipeline_version(pipeline_id, version_id))


def resolve_reference(server: Server, reference: str, other: str = "") -> tuple[str, Package]:
    """Return a label and the pipeline that `reference` names.

    Args:
        server: where versions are.
        reference: a file, `NAME@VERSION`, the `NAME` of a pipeline for its newest version, or a bare version of the
            pipeline that `other` names.
        other: a second reference, which says whose version a bare version is.
    """
    if names_file(reference):
        return reference, read_package(reference)
    name, _, version = reference.partition("@")
    if version:
        found = find_version(server, require_pipeline(server, name), version)
    elif (pipeline := find_pipeline(server, name) or find_pipeline(server, NAME_PREFIX + name)) is not None:
        found = latest_version(server, pipeline)
    elif other:
        owner = read_package(other).name if names_file(other) else other.partition("@")[0]
        found = find_version(server, require_pipeline(server, owner), reference)
    else:
        found = latest_version(server, require_pipeline(server, name))
    return str(found), found.package


def version_name(package: Package) -> str:
    """Return a name that says where a pipeline comes from, such as `0.1.0-1a2b3c4d5-3-iterations`."""
    rounds = {0: "", 1: "-1-iteration"}.get(package.iterations, f"-{package.iterations}-iterations")
    return f"{agent0.__version__}-{_commit()}{rounds}"


def upload(server: Server, package: Package, path: Path, name: str = "") -> Upload:
    """Make sure that the server has the content of a file as a version of its pipeline.

    Args:
        server: where to.
        package: what the file holds.
        path: a compiled pipeline.
        name: name of a new version; derived from package version, commit and iterations if empty.

    Raises:
        UsageError: another content has the given name.
        ServerError: the server refused; nothing is left behind.
    """
    pipeline = find_pipeline(server, package.name)
    taken = set()
    for version in versions_of(server, pipeline) if pipeline is not None else ():
        if version.package == package:
            return Upload(version, made_pipeline=False, made_version=False)
        taken.add(version.name)
    if name in taken:
        raise UsageError(f"{package.name} has another version {name!r}; versions are never changed: give another name.")
    derived = version_name(package)
    chosen = name or (derived if derived not in taken else f"{derived}-{package.digest[:8]}")
    if pipeline is not None:
        made = _upload_version(server, pipeline, path, chosen, package)
        return Upload(made, made_pipeline=False, made_version=True)
    pipeline = _create_pipeline(server, package)
    try:
        made = _upload_version(server, pipeline, path, chosen, package)
    except BaseException as error:  # an interruption too: an empty pipeline would be left
        _remove_empty(server, pipeline, error)
        raise
    return Upload(made, made_pipeline=True, made_version=True)


def _create_pipeline(server: Server, package: Package) -> Any:
    import kfp_server_api

    body = kfp_server_api.V2beta1Pipeline(
        name=package.name,
        display_name=package.name,
        description=package.description or None,
        namespace=in_namespace(server) or None,
    )
    return server.client._pipelines_api.pipeline_service_create_pipeline(body)


def _upload_version(server: Server, pipeline: Any, path: Path, name: str, package: Package) -> Version:
    """Send a file as `pipeline.yaml`: the server goes by the name, and refuses one that ends otherwise."""
    with tempfile.TemporaryDirectory(prefix="agent0-upload-") as folder:
        entry = server.client._upload_api.upload_pipeline_version(
            str(shutil.copyfile(path, Path(folder) / "pipeline.yaml")),
            name=name,
            pipelineid=pipeline.pipeline_id,
            description=package.description,
        )
    return Version(pipeline.pipeline_id, package.name, entry.pipeline_version_id, name, entry.created_at, package)


def _remove_empty(server: Server, pipeline: Any, cause: BaseException) -> None:
    try:
        server.client._pipelines_api.pipeline_service_delete_pipeline(pipeline.pipeline_id)
    except ServerError as error:
        raise ServerError(
            f"{cause} The pipeline {pipeline.display_name} ({pipeline.pipeline_id}) was made for it, is empty, and "
            f"could not be removed: {error}"
        ) from error


def _version(pipeline: Any, entry: Any) -> Version:
    name = entry.display_name or entry.name
    package = package_of(entry.pipeline_spec or {}, f"Version {name} of {pipeline.display_name}")
    return Version(
        pipeline.pipeline_id, pipeline.display_name, entry.pipeline_version_id, name, entry.created_at, package
    )


def _commit() -> str:
    """Return the commit of the source, marked where files differ from it; the digest of the code without a checkout."""
    folder = Path(agent0.__file__).parent
    try:
        head, changes = (
            subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for command in (["rev-parse", "--short=9", "HEAD"], ["status", "--porcelain", "--", "."])
        )
    except (OSError, subprocess.CalledProcessError):
        return code_version().partition("+")[2]
    return f"{head}-changed" if changes else head
