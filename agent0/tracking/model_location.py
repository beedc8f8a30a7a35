"""Where the files behind a registered model lie, in words that MLflow and other machines understand."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.tracking import MlflowClient

from agent0.storage.digest import model_digest
from agent0.storage.foreign_folders import holds_files
from agent0.storage.uri import StorageError, is_in_s3

LOCAL_STORES = ("", "file", "sqlite")
STORES = ("s3", "minio", "gs")


def lies_at(client: MlflowClient, folder: Path, uri: str) -> str | None:
    """Return where others who use the same MLflow find `folder`; None where they cannot, so that it must be uploaded.

    Kubeflow's launcher speaks of `minio://bucket/key?endpoint=…`; that is S3 at the endpoint of the environment.
    """
    parts = urlsplit(uri)
    if parts.scheme in STORES:
        scheme = "s3" if parts.scheme == "minio" else parts.scheme
        return f"{scheme}://{parts.netloc}{parts.path}"
    if urlsplit(client.tracking_uri).scheme in LOCAL_STORES:
        return folder.resolve().as_uri()
    return None


def upload(client: MlflowClient, run_id: str, folder: Path, name: str) -> str:
    """Copy `folder` into the artifacts of a run and return where it lies there."""
    client.log_artifacts(run_id, str(folder), name)
    return f"{client.get_run(run_id).info.artifact_uri}/{name}"


def local_folder(place: str) -> Path | None:
    """Return the folder that a `file:` URI or a plain path names; None for a place elsewhere."""
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def holds_model(place: str, sha256: str) -> bool:
    """Say whether the files of a registered version are known to have arrived at `place`.

    A version is registered while its stage runs; Kubeflow stores the stage's output only when it has ended well.
    """
    folder = local_folder(place)
    if folder is not None:
        return folder.is_dir() and model_digest(folder) == sha256
    if not is_in_s3(place):
        return True  # an upload to a run ended before its version was made
    try:
        return holds_files(place)
    except StorageError:  # this pod may lack the credentials that Kubeflow's launcher has
        return False
