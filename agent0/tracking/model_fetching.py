"""Getting back what a registered version or a record points to, checked against the digest that was registered."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

from agent0.storage.digest import Wanted, model_digest, of_a_model
from agent0.storage.foreign_folders import get_plain, land, not_as_registered, nothing_at
from agent0.storage.manifest import SHA256
from agent0.storage.transfer_threads import ProgressCallback
from agent0.tracking.model_location import local_folder
from agent0.tracking.registry import RegistryError, explained


def fetch_model(
    client: MlflowClient,
    version: ModelVersion,
    target: Path,
    progress: ProgressCallback | None = None,
    *,
    replace: bool = False,
) -> None:
    """Copy the files of a version to `target`, byte for byte; see `agent0.storage.foreign_folders.land`.

    Raises:
        RegistryError: the version carries no digest, or MLflow does not give its files.
        StorageError: the files are not there, are not what was registered, or the store refuses.
    """
    fetch(client, version.source, target, digest_of(version), of_a_model, progress, replace=replace)


def checked_here(version: ModelVersion) -> Path | None:
    """Return the folder of a version whose files lie on this machine; None where they lie elsewhere.

    Raises:
        StorageError: they are gone, or are not what was registered.
    """
    folder = local_folder(version.source)
    if folder is None:
        return None
    if not folder.is_dir():
        raise nothing_at(str(folder))
    found = model_digest(folder)
    if found != digest_of(version):
        raise not_as_registered(str(folder), found, digest_of(version))
    return folder


def check_digest(version: ModelVersion, sha256: str, what: str) -> None:
    """See that something was made with the model of a version.

    Raises:
        RegistryError: it was made with another.
    """
    if sha256 != digest_of(version):
        raise RegistryError(
            f"{what} is of a model with the sha256 {sha256[:12] or 'none'}, and {version.name} version "
            f"{version.version} has {digest_of(version)[:12]}: it is another model's."
        )


def digest_of(version: ModelVersion) -> str:
    """Return the sha256 that a version was registered with.

    Raises:
        RegistryError: another tool registered it, without one.
    """
    sha256 = str(version.tags.get("model_sha256", ""))
    if not SHA256.fullmatch(sha256):
        raise RegistryError(
            f"{version.name} version {version.version} carries no sha256 in its tag model_sha256, so nothing can tell "
            "whether its files are whole; register it with Agent0, or fetch it with MLflow."
        )
    return sha256


def fetch(
    client: MlflowClient,
    place: str,
    target: Path,
    sha256: str,
    wanted: Wanted,
    progress: ProgressCallback | None = None,
    *,
    replace: bool = False,
) -> None:
    """Copy the folder at `place` (a `file:`, `s3:` or MLflow artifact URI) to `target`; see `fetch_model`."""
    folder = local_folder(place)
    scheme = urlsplit(place).scheme
    if folder is not None or scheme == "s3":
        get_plain(place if folder is None else str(folder), target, sha256, wanted, progress, replace=replace)
        return
    if scheme == "gs":
        raise RegistryError(f"{place} lies in Google's store, which Agent0 does not read; fetch it with `gcloud`.")

    def fill(incoming: Path) -> None:
        with explained(f"fetching {place}"):
            repository = get_artifact_repository(place, tracking_uri=client.tracking_uri)
            repository.download_artifacts("", dst_path=str(incoming))

    land(target, sha256, place, fill, wanted, replace=replace)
