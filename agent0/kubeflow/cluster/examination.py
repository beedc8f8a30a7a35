"""The whole examination: every check in order, each with what it could not look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agent0.errors import Agent0Error
from agent0.findings import Finding
from agent0.kubeflow.cluster import capacity, namespace_objects, rights, services
from agent0.kubeflow.cluster.cluster_reader import Cluster, NotAllowedError
from agent0.kubeflow.server_connection import Connection, Server, ServerError, connect

DEFAULT_NAMESPACE = "kubeflow"


@dataclass(frozen=True)
class Wanted:
    """The names of what runs will use."""

    service_account: str = "agent0-runner"
    settings: str = "agent0-settings"
    credentials: str = "agent0-credentials"
    model_cache: str = "agent0-model-cache"
    shared_volume: str = ""
    queue: str = ""


def examine_cluster(connection: Connection, wanted: Wanted) -> list[Finding]:
    """Return what was found, from the server to the queues.

    Raises:
        Agent0Error: there is no cluster to look at, or it does not answer.
    """
    server, first = _server(connection)
    multi_user = None if server is None else server.multi_user
    named = connection.namespace or (server.namespace if server is not None and multi_user else "")
    cluster = Cluster.connect(named or DEFAULT_NAMESPACE)
    version, groups = cluster.version(), cluster.groups()
    findings = [first, Finding("Kubernetes", "ok", f"{version} at {cluster.address}")]
    found = _look("namespace", partial(namespace_objects.namespace, cluster, multi_user))
    findings.append(found)
    if found.finding == "there is none":
        return [*findings, *_of_the_cluster(cluster)]
    return [*findings, *_of_the_namespace(cluster, wanted, multi_user, groups), *_of_the_cluster(cluster)]


def _server(connection: Connection) -> tuple[Server | None, Finding]:
    try:
        server = connect(connection)
    except ServerError as error:
        return None, Finding("Kubeflow Pipelines", "fail", str(error))
    return server, services.pipelines(server)


def _of_the_namespace(
    cluster: Cluster, wanted: Wanted, multi_user: bool | None, groups: dict[str, list[str]]
) -> list[Finding]:
    from agent0.kubeflow.compile_options import CREDENTIAL_KEYS, SETTINGS_KEYS

    account = wanted.service_account
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("pod security", partial(namespace_objects.pod_security, cluster)),
        (f"service account {account}", partial(rights.service_account, cluster, account)),
        (f"rights of {account}", partial(_runner, cluster, account)),
        ("your rights", partial(rights.your_rights, cluster, multi_user)),
        (f"ConfigMap {namespace_objects.LAUNCHER}", partial(namespace_objects.launcher, cluster, multi_user)),
        (f"Secret {namespace_objects.ARTIFACT_SECRET}", partial(namespace_objects.artifact_secret, cluster)),
        (f"ConfigMap {wanted.settings}", partial(namespace_objects.settings, cluster, wanted.settings, SETTINGS_KEYS)),
        (
            f"Secret {wanted.credentials}",
            partial(namespace_objects.credentials, cluster, wanted.credentials, CREDENTIAL_KEYS),
        ),
        ("MLflow", partial(services.tracking, cluster, wanted.settings)),
    ]
    for claim, many in ((wanted.model_cache, False), (wanted.shared_volume, True)):
        if claim:
            checks.append((f"volume claim {claim}", partial(namespace_objects.claim, cluster, claim, many)))
    checks.append(("Trainer", partial(capacity.trainer, cluster, groups)))
    if capacity.TRAINER in groups:
        checks.append(("rights for TrainJobs", partial(_trainjobs, cluster, account)))
    checks.append(("Kueue", partial(capacity.queue, cluster, groups, wanted.queue)))
    return [_look(name, check) for name, check in checks]


def _of_the_cluster(cluster: Cluster) -> list[Finding]:
    return [
        _look("storage", partial(capacity.storage, cluster)),
        _look("GPUs", partial(capacity.gpus, cluster)),
    ]


def _runner(cluster: Cluster, account: str) -> Finding:
    advice = "apply an overlay of pipelines/manifests, which binds the Role agent0-runner"
    return rights.rights_of(cluster, account, rights.RUNNER, f"rights of {account}", advice)


def _trainjobs(cluster: Cluster, account: str) -> Finding:
    advice = "only training.launcher=trainjob needs them: add the component trainjobs to the overlay"
    found = rights.rights_of(cluster, account, rights.TRAINJOBS, "rights for TrainJobs", advice)
    return replace(found, state="warn") if found.state == "fail" else found


def _look(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except NotAllowedError as error:
        return Finding(name, "warn", f"not looked at: {error}", "have somebody with more rights run this")
    except Agent0Error as error:
        return Finding(name, "fail", str(error))
