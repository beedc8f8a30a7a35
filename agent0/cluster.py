"""The Kubernetes cluster that this process is in, or that of the kubeconfig, through the client that comes with kfp."""

from __future__ import annotations

import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from agent0.errors import Agent0Error, NotInstalledError, reason_of
from agent0.extras import installing

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MANAGER = "agent0"
REQUEST_SECONDS = 60


_NO_CONFIGURATION = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What the Kubernetes client raises where its file holds something else than it should."""


def connect(purpose: str) -> tuple[Any, str]:
    """Return a `kubernetes.client.ApiClient` and the namespace that it speaks of.

    Args:
        purpose: what the cluster is for, as the beginning of a sentence: "A TrainJob needs".

    Raises:
        Agent0Error: there is no cluster.
        NotInstalledError: the client is not installed.
    """
    try:
        import yaml
        from kubernetes import client, config
    except ImportError as error:
        raise NotInstalledError(f"{purpose} the Kubernetes client; {installing('trainjob')}") from error
    inside, file = NAMESPACE_FILE.is_file(), os.environ.get("KUBECONFIG")
    settings = client.Configuration()
    try:
        if inside:
            config.load_incluster_config(settings)
            return client.ApiClient(settings), NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        config.load_kube_config(file, client_configuration=settings)
        _, context = config.list_kube_config_contexts(file)
        return client.ApiClient(settings), context["context"].get("namespace", "default")
    except (config.ConfigException, yaml.YAMLError, OSError, *_NO_CONFIGURATION) as error:
        reason = reason_of(error)
        raise Agent0Error(
            f"{purpose} a Kubernetes cluster, and there is none ({reason:.300}); set KUBECONFIG to a file of yours."
        ) from error


def apply(api: Any, manifest: Mapping[str, Any], plural: str, namespace: str) -> str:
    """Apply a custom resource on the server's side and return what became of it: created or configured.

    Raises:
        Agent0Error: the cluster refuses it or does not answer.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    name = manifest["metadata"]["name"]
    what = f"{manifest['kind']} {name} in namespace {namespace}"
    try:
        _, status, _ = api.call_api(
            f"/apis/{manifest['apiVersion']}/namespaces/{namespace}/{plural}/{name}",
            "PATCH",
            query_params=[("fieldManager", MANAGER), ("fieldValidation", "Strict")],
            header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
            body=manifest,
            response_type="object",
            auth_settings=["BearerToken"],
            _request_timeout=REQUEST_SECONDS,
        )
    except ApiException as error:
        said = " ".join(str(error.body or "").split())[:500]
        raise Agent0Error(
            f"The cluster refused {what}: {error.status} {error.reason}: {said}{_advice(error.status, plural)}"
        ) from error
    except HTTPError as error:
        raise Agent0Error(f"The cluster gave no answer when {what} was applied: {reason_of(error)}.") from error
    return "created" if status == HTTPStatus.CREATED else "configured"


def _advice(status: int, plural: str) -> str:
    return {
        HTTPStatus.FORBIDDEN: f" Applying needs the right to create and patch {plural}.",
        HTTPStatus.NOT_FOUND: f" Does the namespace exist, and does the cluster know {plural} in this version?",
        HTTPStatus.CONFLICT: " Somebody else set those fields; write the manifest with -o and decide with "
        "`kubectl apply --server-side --force-conflicts -f`.",
    }.get(HTTPStatus(status) if status else HTTPStatus.OK, "")
