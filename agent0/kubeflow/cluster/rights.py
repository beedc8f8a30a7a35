"""Rights: what the pods' service account may do, and what you may.

The API answers for an account to whoever may review access in its namespace, as administrators of it may; others
can ask as the account, if they may act as it, as editors may.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent0.findings import Finding
from agent0.kubeflow.cluster.cluster_reader import Cluster, NotAllowedError


@dataclass(frozen=True)
class Right:
    """A verb on a resource, of one name where `name` is given."""

    verb: str
    resource: str
    group: str = ""
    name: str = ""

    def __str__(self) -> str:
        place = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {place}" + (f"/{self.name}" if self.name else "")

    def attributes(self, namespace: str) -> Any:
        """Return the right as an access review asks for it."""
        from kubernetes import client

        resource, _, subresource = self.resource.partition("/")
        return client.V1ResourceAttributes(
            namespace=namespace,
            verb=self.verb,
            group=self.group,
            resource=resource,
            subresource=subresource or None,
            name=self.name or None,
        )


RUNNER = (
    Right("create", "workflowtaskresults", "argoproj.io"),
    Right("patch", "workflowtaskresults", "argoproj.io"),
    Right("get", "configmaps", name="kfp-launcher"),
    Right("get", "secrets", name="mlpipeline-minio-artifact"),
)
"""What Kubeflow's driver and launcher and Argo's executor ask; sources: pipelines/manifests/base/role.yaml."""

TRAINJOBS = (
    *(Right(verb, "trainjobs", "trainer.kubeflow.org") for verb in ("create", "get", "delete")),
    Right("list", "pods"),
    Right("get", "pods/log"),
    Right("list", "workloads", "kueue.x-k8s.io"),
)
"""What a stage asks whose training is a TrainJob (agent0/training/kubernetes_api.py and admission.py)."""

PEOPLE = (
    Right("create", "runs", "pipelines.kubeflow.org"),
    Right("get", "runs", "pipelines.kubeflow.org"),
    Right("create", "pipelines", "pipelines.kubeflow.org"),
    Right("create", "jobs", "pipelines.kubeflow.org"),
)
"""What a server for several users asks of the cluster for whoever uploads, runs and schedules."""

LOOKING = (Right("list", "pods"), Right("get", "pods/log"), Right("list", "events"))
"""What a person needs to see why a pod does not start."""


def service_account(cluster: Cluster, name: str) -> Finding:
    """Say whether the account of the pods is there."""
    check = f"service account {name}"
    if cluster.ask(cluster.core.read_namespaced_service_account, name, cluster.namespace) is None:
        return Finding(
            check, "fail", f"there is none in {cluster.namespace}", "apply an overlay of pipelines/manifests"
        )
    return Finding(check, "ok", "there; start runs with --service-account " + name)


def rights_of(cluster: Cluster, account: str, rights: Sequence[Right], check: str, advice: str) -> Finding:
    """Say which of the rights a service account lacks.

    Raises:
        NotAllowedError: you may neither review its access nor act as it.
    """
    allowed = _asker(cluster, account)
    missing = [right for right in rights if not allowed(right)]
    if missing:
        return Finding(check, "fail", f"may not: {', '.join(map(str, missing))}", advice)
    return Finding(check, "ok", f"all {len(rights)} that are needed")


def your_rights(cluster: Cluster, multi_user: bool | None) -> Finding:
    """Say what you may not; Kubeflow may know you by another name than the cluster, so it is no more than a warning."""
    from kubernetes import client

    review: Any = cluster.ask(cluster.authentication.create_self_subject_review, client.V1SelfSubjectReview())
    name = review.status.user_info.username if review is not None else "you"  # before Kubernetes 1.28
    missing = [right for right in (*(PEOPLE if multi_user else ()), *LOOKING) if not _may(cluster, right)]
    if missing:
        return Finding(
            "your rights",
            "warn",
            f"{name} may not: {', '.join(map(str, missing))}",
            "ask for the ClusterRole kubeflow-edit in the namespace, unless Kubeflow knows you by another name",
        )
    return Finding("your rights", "ok", f"{name} may start runs and see their pods")


def _may(cluster: Cluster, right: Right, api: Any = None) -> bool:
    """Whether you may, or whoever `api` asks as."""
    from kubernetes import client

    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=right.attributes(cluster.namespace))
    body = client.V1SelfSubjectAccessReview(spec=spec)
    review: Any = cluster.ask((api or cluster.authorization).create_self_subject_access_review, body)
    return bool(review.status.allowed)


def _asker(cluster: Cluster, account: str) -> Callable[[Right], bool]:
    """Return the way to ask for an account that is open to you."""
    from kubernetes import client

    user = f"system:serviceaccount:{cluster.namespace}:{account}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{cluster.namespace}", "system:authenticated"]

    def by_review(right: Right) -> bool:
        spec = client.V1SubjectAccessReviewSpec(
            user=user, groups=groups, resource_attributes=right.attributes(cluster.namespace)
        )
        metadata = client.V1ObjectMeta(namespace=cluster.namespace)
        body = client.V1LocalSubjectAccessReview(metadata=metadata, spec=spec)
        call = cluster.authorization.create_namespaced_local_subject_access_review
        review: Any = cluster.ask(call, cluster.namespace, body)
        return bool(review.status.allowed)

    as_account = cluster.impersonating(user)

    def by_impersonation(right: Right) -> bool:
        return _may(cluster, right, as_account)

    if _may(cluster, Right("create", "localsubjectaccessreviews", "authorization.k8s.io")):
        return by_review
    if _may(cluster, Right("impersonate", "serviceaccounts", name=account)):
        return by_impersonation
    raise NotAllowedError(f"you may neither review access in {cluster.namespace} nor act as {account}")
