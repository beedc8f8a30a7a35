"""The two servers that a run talks to: Kubeflow Pipelines, asked from here, and MLflow, which pods ask."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from agent0.findings import Finding
from agent0.kubeflow.acceptance.releases import RELEASES
from agent0.kubeflow.cluster.cluster_reader import Cluster
from agent0.kubeflow.server_connection import Server

TRACKING_CLIENT = "agent0.dev/tracking-client"
OUR_TRACKING_NAMESPACE = "agent0-mlflow"
SECONDS = 5


def pipelines(server: Server) -> Finding:
    """Say whether the server's release is one that these pipelines were read against."""
    text = f"{server.version_text} at {server.address}, for {'several users' if server.multi_user else 'one user'}"
    release = server.version[:2]
    known, versions = " and ".join(RELEASES), [item.version for item in RELEASES.values()]
    if not release:
        return Finding("Kubeflow Pipelines", "warn", text, f"it does not say its release; {known} are supported")
    if release < versions[0]:
        return Finding("Kubeflow Pipelines", "fail", text, f"update it: {known} are supported")
    if release > versions[-1]:
        return Finding("Kubeflow Pipelines", "warn", text, f"newer than what was tested: {known}")
    return Finding("Kubeflow Pipelines", "ok", text)


def tracking(cluster: Cluster, settings: str) -> Finding:
    """Say whether MLflow answers: from here, or by the pods behind its service."""
    found: Any = cluster.ask(cluster.core.read_namespaced_config_map, settings, cluster.namespace)
    uri = ((found.data or {}) if found else {}).get("MLFLOW_TRACKING_URI", "")
    address = urlsplit(uri)
    if address.scheme not in ("http", "https") or not address.hostname:
        what = f"MLFLOW_TRACKING_URI is {uri!r}" if uri else f"{settings} names no server"
        return Finding("MLflow", "fail", f"{what}; pods need one that they all reach", "set it to an http(s) address")
    why = _answer(uri)
    if not why:
        return Finding("MLflow", "ok", f"{uri} answers")
    name, _, rest = address.hostname.partition(".")
    place = rest.removesuffix(".cluster.local").removesuffix(".svc") or cluster.namespace
    if "." in place:
        return Finding("MLflow", "warn", f"{uri} does not answer from here ({why})", _from_inside(cluster))
    return _service(cluster, uri, name, place, address.port or (443 if address.scheme == "https" else 80))


def _service(cluster: Cluster, uri: str, name: str, place: str, port: int) -> Finding:
    """Say how the service inside the cluster is that an address names."""
    service: Any = cluster.ask(cluster.core.read_namespaced_service, name, place)
    if service is None:
        return Finding(
            "MLflow", "fail", f"{uri}: there is no service {name} in {place}", "install it: mlflow/kubernetes"
        )
    ports = [item.port for item in service.spec.ports or []]
    if port not in ports:
        return Finding(
            "MLflow", "fail", f"{uri}: service {name} has no port {port}", f"it has {', '.join(map(str, ports))}"
        )
    slices: Any = cluster.ask(lambda **options: _slices(cluster, name, place, **options))
    ready = sum(endpoint.conditions.ready is not False for item in slices.items for endpoint in item.endpoints or [])
    if not ready:
        return Finding("MLflow", "fail", f"{uri}: no pod behind it is ready", f"kubectl -n {place} get pods")
    namespace: Any = cluster.ask(cluster.core.read_namespace, cluster.namespace)
    if place == OUR_TRACKING_NAMESPACE and (namespace.metadata.labels or {}).get(TRACKING_CLIENT) != "true":
        return Finding(
            "MLflow",
            "fail",
            f"{uri}: its network policy lets this namespace in only with the label {TRACKING_CLIENT}",
            f"kubectl label namespace {cluster.namespace} {TRACKING_CLIENT}=true",
        )
    pods = "a pod is" if ready == 1 else f"{ready} pods are"
    return Finding("MLflow", "ok", f"{uri}: {pods} ready behind it", _from_inside(cluster))


def _slices(cluster: Cluster, name: str, place: str, **options: Any) -> Any:
    return cluster.discovery.list_namespaced_endpoint_slice(
        place, label_selector=f"kubernetes.io/service-name={name}", **options
    )


def _from_inside(cluster: Cluster) -> str:
    """How to ask from a pod, behind the network policies that hold for steps."""
    place = cluster.namespace
    return (
        f"to ask from inside: kubectl -n {place} apply -f pipelines/manifests/ask-mlflow.yaml && kubectl -n {place} "
        "logs -f pod/agent0-ask-mlflow"
    )


def _answer(uri: str) -> str:
    """Return why a tracking server does not answer; empty where it does, were it with a question who we are."""
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        return "" if error.code in (401, 403) else f"{error.code} {error.reason}"
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        return str(getattr(error, "reason", error))
    return ""
