"""A model by any of its names, as a folder here: `tiny`, folder, `s3://`, registered version, `package:`, hub's id."""

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

from agent0.config import EMBEDDED_MODEL, ModelSettings, TinyPretraining
from agent0.errors import Agent0Error, UsageError, reason_of
from agent0.storage import transfer
from agent0.storage.folder_cache import ROOT_VARIABLE, cached
from agent0.storage.folder_files import check_links
from agent0.storage.manifest import MANIFEST
from agent0.storage.transfer_threads import ProgressCallback
from agent0.storage.uri import is_in_s3
from agent0.tracking.model_package import find_package, is_in_package, require_gguf
from agent0.tracking.model_uri import ModelUri, is_model_uri, parse_model_uri
from agent0.tracking.tracking_location import tracking_uri

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
    """Return `source`; an alias of a registered model and a package get the version that they mean now.

    Raises:
        UsageError: it looks like a registered model's URI and is none, or the package is not installed.
        RegistryError: no such model, alias or version.
    """
    if is_in_package(source):
        return find_package(source).source
    if not is_model_uri(source):
        return source
    _, version = _version(parse_model_uri(source))
    return str(ModelUri(version.name, version=str(version.version)))


def check_source(source: str) -> None:
    """Check that a model is there, as far as that is seen without fetching it; a hub's is asked for when it is fetched.

    Raises:
        UsageError: no such folder, or no such package is installed.
        Agent0Error: no such registered model, alias or version; or no whole folder in S3, or the store refuses.
    """
    if source == EMBEDDED_MODEL or _is_in_hub(source):
        return
    if is_in_package(source):
        require_gguf()
    if is_in_package(source) or is_model_uri(source):
        resolve_source(source)
    elif is_in_s3(source):
        transfer.manifest_of(source)
    else:
        _require_model(source, Path(source).expanduser())


@contextmanager
def found_model(model: ModelSettings, progress: ProgressCallback | None = None) -> Iterator[FoundModel]:
    """Yield a model; one from elsewhere is fetched into the cache, checked, and kept there while the block lasts.

    Args:
        model: which one; the embedded one is trained first if the cache does not hold it.
        progress: told what is done, and of how much: bytes, or steps of the embedded one's training.

    Raises:
        UsageError: no such folder, or no such package is installed.
        Agent0Error: the hub does not give it, or a package's file was changed or cannot be read.
        RegistryError: no such registered model, alias or version.
        StorageError: its files are not there, are not what was stored, or a link among them leads nowhere; or the
            store refuses.
    """
    source = model.source
    if source == EMBEDDED_MODEL:
        yield FoundModel(_embedded(model.tiny, progress), source, source)
    elif is_model_uri(source):
        with _registered(parse_model_uri(source), progress) as found:
            yield found
    elif is_in_package(source):
        package = find_package(source)
        with package.converted() as folder:
            yield FoundModel(folder, package.source, package.name)
    elif is_in_s3(source):
        key = hashlib.sha256(transfer.manifest_of(source).to_bytes()).hexdigest()
        with cached(key, partial(transfer.get, source, progress=progress)) as folder:
            yield FoundModel(folder, source, _last_part(source))
    else:
        folder = from_hub(source) if _is_in_hub(source) else Path(source).expanduser()
        _require_model(source, folder)
        check_links(folder)
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
            f"There is no folder {name!r} here, and the hub does not give that model ({reason_of(error):.300}); check "
            "the name, the network and HF_TOKEN, or give a folder."
        ) from error


def copy_model(model: ModelSettings, output: Path, progress: ProgressCallback | None = None) -> str:
    """Copy a model to `output` and return what it is called from now on.

    One that is fetched goes through the cache where `AGENT0_CACHE` names one, so that other pods and runs need not
    fetch it again; otherwise straight to `output`, since a pod may have no room for it twice.

    Raises:
        Agent0Error: as of `found_model`.
    """
    source = model.source
    if not os.environ.get(ROOT_VARIABLE):
        if is_model_uri(source):
            from agent0.tracking.model_fetching import fetch_model

            client, version = _version(parse_model_uri(source))
            fetch_model(client, version, output)
            return str(ModelUri(version.name, version=str(version.version)))
        if is_in_s3(source):
            transfer.get(source, output)
            return source
    if _is_in_hub(source):
        from_hub(source, output)
        return source
    with found_model(model, progress) as found:
        shutil.copytree(found.folder, output, ignore=shutil.ignore_patterns(MANIFEST), dirs_exist_ok=True)
        return found.source


def _require_model(source: str, folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder {source}; give the folder of a saved model, s3://BUCKET/KEY, "
            "models:/NAME@ALIAS, package:NAME, a hub's OWNER/NAME, or tiny."
        )
    if not (folder / "config.json").is_file():
        raise UsageError(f"{source} holds no model (no config.json); give the folder of a saved model.")


def _is_in_hub(source: str) -> bool:
    """Whether a name is that of no folder here, and could be a hub's id."""
    return not Path(source).expanduser().is_dir() and HUB_ID.fullmatch(source) is not None


def _embedded(settings: TinyPretraining, progress: ProgressCallback | None) -> Path:
    from agent0.tiny.pretrain import ensure_base_model

    return ensure_base_model(settings, lambda step, _: progress(step, settings.steps) if progress else None)


@contextmanager
def _registered(uri: ModelUri, progress: ProgressCallback | None) -> Iterator[FoundModel]:
    from agent0.tracking.model_fetching import checked_here, digest_of, fetch_model

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
    from agent0.tracking.mlflow_runs import open_client
    from agent0.tracking.registry import resolve

    client = open_client(tracking_uri())
    return client, resolve(client, uri)


def _last_part(source: str) -> str:
    return source.rstrip("/").rpartition("/")[2]
