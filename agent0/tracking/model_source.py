"""A model by any of its names, as a folder here: `tiny`, folder, `s3://` place, registered version, or a hub's id."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent0.config import ModelSettings, TinyPretraining
from agent0.errors import Agent0Error, UsageError
from agent0.storage import transfer
from agent0.storage.cache import ROOT_VARIABLE, cached
from agent0.storage.crew import ProgressCallback
from agent0.storage.uri import is_in_s3
from agent0.tracking.location import tracking_uri
from agent0.tracking.model_uri import ModelUri, is_model_uri, parse_model_uri

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient


HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class FoundModel:
    """A model on this machine.

    Attributes:
        folder: its files where they lie or in the cache, so nobody may write to it.
        source: what it is called from now on: an alias has become the version that it pointed to.
        name: short, for tables.
    """

    folder: Path
    source: str
    name: str


def resolve_source(source: str) -> str:
    """Return `source`; an alias of a registered model becomes the version that it points to now.

    Raises:
        UsageError: it looks like a registered model's URI and is none.
        RegistryError: no such model, alias or version.
    """
    if not is_model_uri(source):
        return source
    _, version = _version(parse_model_uri(source))
    return str(ModelUri(version.name, version=str(version.version)))


@contextmanager
def found_model(model: ModelSettings, progress: ProgressCallback | None = None) -> Iterator[FoundModel]:
    """Yield a model; one from elsewhere is fetched into the cache, checked, and kept there while the block lasts.

    Args:
        model: which one; the embedded one is trained first if the cache does not hold it.
        progress: told what is done, and of how much: bytes, or steps of the embedded one's training.

    Raises:
        UsageError: no such folder.
        Agent0Error: the hub does not give it.
        RegistryError: no such registered model, alias or version.
        StorageError: its files are not there, are not what was stored, or the store refuses.
    """
    source = model.source
    if source == "tiny":
        yield FoundModel(_embedded(model.tiny, progress), source, source)
    elif is_model_uri(source):
        with _registered(parse_model_uri(source), progress) as found:
            yield found
    elif is_in_s3(source):
        key = hashlib.sha256(transfer.manifest_of(source).to_bytes()).hexdigest()
        with cached(key, partial(transfer.get, source, progress=progress)) as folder:
            yield FoundModel(folder, source, _last_part(source))
    else:
        folder = Path(source).expanduser()
        if not folder.is_dir() and HUB_ID.fullmatch(source):
            folder = from_hub(source)
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {source}; give the folder of a saved model, s3://BUCKET/KEY, "
                "models:/NAME@ALIAS, a hub's OWNER/NAME, or tiny."
            )
        yield FoundModel(folder, source, Path(source).expanduser().resolve().name)


def from_hub(name: str, target: Path | None = None) -> Path:
    """Fetch a model from the hub into `target`, or into the hub's own cache, and return its folder.

    Raises:
        Agent0Error: the hub does not give it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_dir=target))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise Agent0Error(
            f"There is no folder {name!r} here, and the hub does not give that model ({error}); check the name, the "
            "network and HF_TOKEN, or give a folder."
        ) from error


def copy_model(source: str, output: Path) -> str:
    """Copy a model from elsewhere to `output` and return what it is called from now on.

    It goes through the cache where `AGENT0_CACHE` names one, so that other pods and runs need not fetch it again;
    otherwise straight to `output`, since a pod may have no room for it twice.

    Raises:
        RegistryError: no such registered model, alias or version.
        StorageError: its files are not there, are not what was stored, or the store refuses.
    """
    if os.environ.get(ROOT_VARIABLE):
        with found_model(ModelSettings(source=source)) as found:
            shutil.copytree(found.folder, output, dirs_exist_ok=True)
            return found.source
    if not is_model_uri(source):
        transfer.get(source, output)
        return source
    client, version = _version(parse_model_uri(source))
    from agent0.tracking.fetching import fetch_model

    fetch_model(client, version, output)
    return str(ModelUri(version.name, version=str(version.version)))


def _embedded(settings: TinyPretraining, progress: ProgressCallback | None) -> Path:
    import agent0.lean_transformers  # noqa: F401  # before anything that imports transformers
    from agent0.tiny.pretrain import ensure_base_model

    return ensure_base_model(settings, lambda step, _: progress(step, settings.steps) if progress else None)


@contextmanager
def _registered(uri: ModelUri, progress: ProgressCallback | None) -> Iterator[FoundModel]:
    from agent0.tracking.fetching import checked_here, digest_of, fetch_model

    client, version = _version(uri)
    concrete = str(ModelUri(version.name, version=str(version.version)))
    name = f"{version.name} {version.version}"
    here = checked_here(version)
    if here is not None:
        yield FoundModel(here, concrete, name)
        return

    def fill(folder: Path) -> None:
        fetch_model(client, version, folder, progress, replace=True)

    with cached(digest_of(version), fill) as folder:
        yield FoundModel(folder, concrete, name)


def _version(uri: ModelUri) -> tuple[MlflowClient, ModelVersion]:
    """Return the version that a URI names now, and a client of its registry."""
    from agent0.tracking.registry import resolve
    from agent0.tracking.runs import open_client

    client = open_client(tracking_uri())
    return client, resolve(client, uri)


def _last_part(source: str) -> str:
    return source.rstrip("/").rpartition("/")[2]
