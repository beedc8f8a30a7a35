"""From a version of MLflow's registry to what a service needs to know of it: where its files are, and how large."""

from __future__ import annotations

from agent0.errors import UsageError
from agent0.planning.hardware import parse_cluster
from agent0.serving.kserve import Service, gpus_for, host_memory
from agent0.storage.digest import of_a_model
from agent0.storage.foreign_folders import size_of
from agent0.storage.uri import StorageError, is_in_s3
from agent0.tracking.model_uri import ModelUri, parse_model_uri
from agent0.tracking.tracking_location import tracking_uri


def service_of(
    model: str,
    *,
    name: str = "",
    gpus: int = 0,
    gpu: str = "H100",
    replicas: int = 1,
    storage_uri: str = "",
    service_account: str = "",
) -> Service:
    """Return the service of a registered version.

    Args:
        model: URI of the version.
        name: of the service; the registered model's if empty.
        gpus: of each replica; 0: as many of the kind `gpu` as its weights need.
        gpu: kind of GPU.
        replicas: how many answer.
        storage_uri: where the files are for KServe; where the version's lie if empty.
        service_account: whose secrets open the store.

    Raises:
        UsageError: KServe cannot fetch the files, or would refuse the service.
        RegistryError: no such version.
        StorageError: the size of the files is asked for, and the store does not give it.
    """
    from agent0.tracking.mlflow_runs import open_client
    from agent0.tracking.model_fetching import digest_of
    from agent0.tracking.model_location import local_folder
    from agent0.tracking.registry import resolve

    device = parse_cluster(f"1x{gpu}").gpu
    version = resolve(open_client(tracking_uri()), parse_model_uri(model))
    source = str(version.source)
    uri = str(ModelUri(version.name, version=str(version.version)))
    weights = None
    if not gpus:
        folder = local_folder(source)
        if folder is None and not is_in_s3(source):
            raise UsageError(f"The size of {uri} cannot be told from {source}; say with --gpus how many GPUs it needs.")
        try:
            weights = size_of(source if folder is None else str(folder), of_a_model)
        except StorageError as error:
            raise StorageError(f"{error} To write the manifest without looking there, give --gpus.") from error
    count = gpus or gpus_for(weights or 0, device)
    return Service(
        name=name or version.name.lower().replace("_", "-"),
        model=version.name,
        version=uri,
        sha256=digest_of(version),
        uri=storage_uri or source,
        gpus=count,
        memory_gib=host_memory(count, weights),
        replicas=replicas,
        service_account=service_account,
    )
