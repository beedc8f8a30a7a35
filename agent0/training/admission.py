"""Why a TrainJob has no pods: in the words of Kueue, which suspends a job until its queue has room, or of nobody.

Kueue keeps a `Workload` for each job, whose conditions tell what it waits for; from release 0.20 on it serves only
v1beta2. A service account that may not list workloads is no error: the log says where to look instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from agent0.config.training import QUEUE_LABEL

GROUP, VERSIONS, PLURAL = "kueue.x-k8s.io", ("v1beta2", "v1beta1"), "workloads"
OWNER_LABEL = "kueue.x-k8s.io/job-uid"
CONDITIONS = ("QuotaReserved", "Admitted")
REQUEST_SECONDS = 60


def why_no_pods(api: Any, namespace: str, job: Mapping[str, Any]) -> str:
    """Return a sentence on why a TrainJob has no pods.

    Args:
        api: `kubernetes.client.CustomObjectsApi`.
        namespace: of the job.
        job: as the cluster has it.
    """
    metadata = job["metadata"]
    queue = (metadata.get("labels") or {}).get(QUEUE_LABEL)
    see = f"see: kubectl describe trainjob {metadata['name']}"
    if not job["spec"].get("suspend"):
        return f"The job has no pods yet; {see}"
    if not queue:
        return (
            "The job is suspended and names no queue. If Kueue is to admit it, set training.trainjob.queue; otherwise "
            f"somebody suspended it; {see}"
        )
    return f"The job is suspended and waits in the queue {queue}: {_cause(api, namespace, metadata['uid'])}; {see}"


def _cause(api: Any, namespace: str, owner: str) -> str:
    """Return what the workload of a job says that it waits for."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        workloads = _workloads(api, namespace, owner)
    except ApiException as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return f"this pod's service account may not list {PLURAL}.{GROUP}, which say why"
        return f"the cluster gave no reason ({error.status} {error.reason})"
    except HTTPError as error:
        return f"the cluster gave no reason ({error})"
    if workloads is None:
        return "Kueue is not installed, and will not admit it"
    if not workloads:
        return "Kueue has made no workload for it, so its integration of TrainJobs may be off"
    found = {said["type"]: said for said in workloads[-1].get("status", {}).get("conditions", ())}
    said = next((found[kind] for kind in CONDITIONS if found.get(kind, {}).get("status") == "False"), None)
    where = f"kubectl describe workload {workloads[-1]['metadata']['name']}"
    return f"{said['reason']}: {' '.join(said.get('message', '').split())} ({where})" if said else where


def _workloads(api: Any, namespace: str, owner: str) -> list[dict[str, Any]] | None:
    """Return the workloads of a job; None where the cluster knows no such thing."""
    from kubernetes.client import ApiException

    for version in VERSIONS:
        try:
            found = api.list_namespaced_custom_object(
                GROUP,
                version,
                namespace,
                PLURAL,
                label_selector=f"{OWNER_LABEL}={owner}",
                _request_timeout=REQUEST_SECONDS,
            )
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        else:
            return list(found["items"])
    return None
