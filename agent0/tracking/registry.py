"""Registered models: a version for each iteration, where its files lie, where it comes from, and what points to it.

Plain functions over MLflow's client. A version is a pointer: its files stay where the stage wrote them. Two aliases
move: `candidate` to every new version of the whole method, `champion` when the promotion gate says so. MLflow has no
compare-and-set for aliases; a move looks before and after, which finds anybody else's move but one in the same few
milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.entities.paged_list import PagedList
from mlflow.tracking import MlflowClient

from agent0.config import TrackingSettings
from agent0.errors import Agent0Error
from agent0.tracking.model_location import holds_model, lies_at, upload
from agent0.tracking.model_origin import Origin
from agent0.tracking.model_uri import ModelUri, check_model_name

T = TypeVar("T")
Client: TypeAlias = MlflowClient
Version: TypeAlias = ModelVersion
CANDIDATE, CHAMPION = "candidate", "champion"
ALIAS_ATTEMPTS = 8
REPLACED_TAG = "replaced_by"
ABLATIONS_TAG, NOTHING = "ablations", "none"
COMMON_NAMES = {TrackingSettings().registered_executor, TrackingSettings().registered_curriculum}
"""Of registered models that every evolution shares unless it is given others."""
DESCRIPTION = "Grown by Agent0, a version for each iteration; `agent0 models show` tells where each comes from."


class RegistryError(Agent0Error):
    """The model registry does not hold, or did not take, what it should."""


class AliasMovedError(RegistryError):
    """An alias points elsewhere than it did when the decision to move it was begun."""


def register(client: MlflowClient, run_id: str, name: str, folder: Path, uri: str, origin: Origin) -> str:
    """Register the model in `folder` unless it is; return its version, which `candidate` then points to.

    An evolution that leaves out a part of the method takes that alias only of a model by a name of its own: by the
    common one its version would be judged for promotion as if it came from the whole.

    Args:
        client: of the store of `run_id`.
        run_id: run of the stage that trained it.
        name: registered model; it is made if there is none.
        folder: its files on this machine.
        uri: where they are stored for others, as `s3://bucket/key`; a local path where they are not.
        origin: digests and numbers; the same ones are never registered twice.

    Raises:
        RegistryError: MLflow refuses or does not answer.
    """
    check_model_name(name)
    with explained(f"registering a version of {name}"):
        _ensure(client, name)
        left_out = _left_out(client, origin)
        more = {ABLATIONS_TAG: left_out} if left_out else {}
        version = _found_or_made(client, run_id, name, folder, uri, origin, more)
        if not left_out or name not in COMMON_NAMES:
            _point_forward(client, name, version)
    return version


def resolve(client: MlflowClient, uri: ModelUri) -> ModelVersion:
    """Return the version that a URI names now.

    Raises:
        RegistryError: no such model, alias or version, or its files never arrived.
    """
    with explained(f"looking for {uri}"):
        model = find_model(client, uri.name)
        if uri.alias and uri.alias not in model.aliases:
            known = ", ".join(sorted(model.aliases)) or "none"
            raise RegistryError(
                f"{uri.name} has no alias {uri.alias!r} (it has: {known}); set it with `agent0 models promote`, or "
                f"name a version, such as models:/{uri.name}/1."
            )
        number = uri.version or str(model.aliases[uri.alias])
        version = next((v for v in versions(client, uri.name) if str(v.version) == number), None)
        if version is None:
            raise RegistryError(f"{uri.name} has no version {number}; `agent0 models list {uri.name}` shows them.")
    if REPLACED_TAG in version.tags:
        raise RegistryError(
            f"The files of {uri.name} version {number} never arrived; use version {version.tags[REPLACED_TAG]}, which "
            "is the same model."
        )
    return version


def find_model(client: MlflowClient, name: str) -> RegisteredModel:
    """Return a registered model with its aliases.

    Raises:
        RegistryError: there is none of that name.
    """
    found = client.search_registered_models(f"name='{name}'")
    if not found:
        known = ", ".join(model.name for model in client.search_registered_models()) or "none"
        raise RegistryError(f"There is no registered model {name!r} in {client.tracking_uri} (there are: {known}).")
    return found[0]


def versions(client: MlflowClient, name: str, condition: str = "") -> list[ModelVersion]:
    """Return the versions of a registered model, newest first, or those of which `condition` is true."""
    query = f"name='{name}'{f' and {condition}' if condition else ''}"
    newest = ["version_number DESC"]
    return list(pages(lambda token: client.search_model_versions(query, order_by=newest, page_token=token)))


def pages(ask: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """Yield what all pages of a search hold; `ask` gives the one that a token names, or the first."""
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def ancestry(client: MlflowClient, version: ModelVersion) -> list[ModelVersion]:
    """Return a version, its parent, and so on back to the one that was trained from a base model."""
    by_number = {str(item.version): item for item in versions(client, version.name)}
    line = [version]
    while (parent := by_number.get(line[-1].tags.get("parent_version", ""))) is not None and parent not in line:
        line.append(parent)
    return line


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Return the version that each alias of a registered model points to."""
    return {alias: str(version) for alias, version in find_model(client, name).aliases.items()}


def set_version_tags(client: MlflowClient, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Write tags on a version."""
    with explained(f"writing to {version.name} version {version.version}"):
        for name, value in tags.items():
            client.set_model_version_tag(version.name, str(version.version), name, value)


def move_alias(client: MlflowClient, name: str, alias: str, version: str, expected: str | None) -> None:
    """Point an alias to a version, unless somebody else has moved it meanwhile.

    Args:
        client: of the store.
        name: registered model.
        alias: what moves; one that points to `version` already is no error.
        version: its new target.
        expected: what it pointed to when the decision was begun; None for nowhere.

    Raises:
        AliasMovedError: it points elsewhere now.
    """
    with explained(f"moving the alias {alias} of {name}"):
        now = aliases(client, name).get(alias)
        if now == version:
            return
        if now == expected:
            client.set_registered_model_alias(name, alias, version)
            now = aliases(client, name).get(alias)
    if now != version:
        raise AliasMovedError(
            f"The alias {alias} of {name} was moved by someone else meanwhile: it pointed to {_told(expected)} when "
            f"this was begun, and points to {_told(now)} now. It was left there; evaluate version {version} against "
            "that one."
        )


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn MLflow's errors in the block into sentences."""
    try:
        yield
    except MlflowException as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise RegistryError(
            f"MLflow's registry failed while {doing}: {reason}. See that MLFLOW_TRACKING_URI names a server that runs "
            "and lets you write, and start again; nothing is registered twice."
        ) from error


def _told(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"


def _ensure(client: MlflowClient, name: str) -> None:
    if client.search_registered_models(f"name='{name}'"):
        return
    try:
        client.create_registered_model(name, description=DESCRIPTION)
    except MlflowException as error:  # another stage made it meanwhile
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _same(client: MlflowClient, name: str, origin: Origin) -> list[ModelVersion]:
    """Return the versions of the same bytes from the same round that have not been replaced, newest first."""
    condition = (
        f"tags.model_sha256='{origin.model_sha256}' and tags.iteration='{origin.iteration}' "
        f"and tags.evolution_run_id='{origin.evolution_run_id}'"
    )
    return [version for version in versions(client, name, condition) if REPLACED_TAG not in version.tags]


def _parent(client: MlflowClient, name: str, origin: Origin) -> ModelVersion | None:
    """Return the version that this one was trained from: that of its evolution if it has one, else the newest."""
    found = versions(client, name, f"tags.model_sha256='{origin.parent_sha256}'")
    whole = [version for version in found if REPLACED_TAG not in version.tags]
    own = [version for version in whole if version.tags.get("evolution_run_id") == origin.evolution_run_id]
    return next(iter([*own, *whole]), None)


def _found_or_made(
    client: MlflowClient, run_id: str, name: str, folder: Path, uri: str, origin: Origin, more: Mapping[str, str]
) -> str:
    """Return the version of these files and this origin; where there is none it is made, with `more` tags."""
    place = lies_at(client, folder, uri)
    earlier = _same(client, name, origin)
    for version in earlier:
        if version.source == place or holds_model(version.source, origin.model_sha256):
            return str(version.version)
    source = place or upload(client, run_id, folder, f"models/{name}")
    parent = _parent(client, name, origin)
    lineage = {} if parent is None else {"parent_version": str(parent.version)}
    made = client.create_model_version(name, source, run_id=run_id, tags={**origin.tags(), **lineage, **more})
    for version in earlier:  # their files never arrived: the stage failed between registering and storing them
        client.set_model_version_tag(name, version.version, REPLACED_TAG, str(made.version))
    return str(made.version)


def _left_out(client: MlflowClient, origin: Origin) -> str:
    """Return the parts of the method that the version's evolution leaves out, as its run says; empty for the whole."""
    try:
        tags = client.get_run(origin.evolution_run_id).data.tags
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return ""  # its run was removed for good
    found = str(tags.get(f"agent0.{ABLATIONS_TAG}", NOTHING))
    return "" if found == NOTHING else found


def _point_forward(client: MlflowClient, name: str, version: str) -> None:
    """Point `candidate` to the version unless it points to a newer one.

    MLflow refuses one of two stages that set an alias in the same moment, so the one refused looks again.
    """
    for attempt in range(1, ALIAS_ATTEMPTS + 1):
        now = aliases(client, name).get(CANDIDATE)
        if now is not None and int(now) >= int(version):
            return
        try:
            client.set_registered_model_alias(name, CANDIDATE, str(version))
            return
        except MlflowException:
            if attempt == ALIAS_ATTEMPTS:
                raise
            time.sleep(0.1 * attempt)
