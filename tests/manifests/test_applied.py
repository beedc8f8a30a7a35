"""The overlays on a real API server: accepted under Pod Security `restricted`, granting what they must and no more."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from servers.kubernetes import KubernetesServer

from agent0.kubeflow.cluster.rights import RUNNER, TRAINJOBS, Right
from tests.manifests.building import (
    GPU,
    MANIFESTS,
    NAMESPACE,
    OURS,
    PROFILE,
    SANDBOX,
    TRACKING,
    built,
    documents,
    named,
    one,
    placed,
)

pytestmark = pytest.mark.integration

NEVER = (
    Right("list", "secrets"),
    Right("get", "secrets", name="agent0-credentials"),
    Right("get", "secrets", name="another"),
    Right("get", "configmaps", name="another"),
    Right("list", "configmaps"),
    Right("create", "pods"),
    Right("create", "pods/exec"),
    Right("delete", "pods"),
    Right("delete", "workflowtaskresults", "argoproj.io"),
    Right("get", "workflows", "argoproj.io"),
    Right("create", "persistentvolumeclaims"),
    Right("create", "rolebindings", "rbac.authorization.k8s.io"),
    Right("impersonate", "serviceaccounts"),
    Right("list", "trainjobs", "trainer.kubeflow.org"),
)


def space(folder: Path) -> str:
    return f"applied-{folder.name}"


@pytest.fixture(scope="module")
def cluster(kubernetes_server: KubernetesServer) -> KubernetesServer:
    """The server, with every overlay of ours in a namespace of its own."""
    for folder in OURS:
        account = {"name": "default", "namespace": space(folder)}
        kubernetes_server.apply(
            *placed(built(folder), space(folder)), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
        )
    # Without a controller nobody counts what is used; a quota that is not counted admits nothing.
    quota = one(built(GPU), "ResourceQuota", "agent0")
    status = {"hard": quota["spec"]["hard"], "used": dict.fromkeys(quota["spec"]["hard"], "0")}
    counted = {**quota, "metadata": {"name": "agent0", "namespace": space(GPU)}, "status": status}
    kubernetes_server.kubectl(
        "apply", "--server-side", "--subresource=status", "-f", "-", given=yaml.safe_dump(counted)
    )
    return kubernetes_server


def may(cluster: KubernetesServer, namespace: str, right: Right) -> bool:
    """Whether agent0-runner has a right, by the server's own access review."""
    user = f"system:serviceaccount:{namespace}:agent0-runner"
    spec = client.V1SubjectAccessReviewSpec(user=user, resource_attributes=right.attributes(namespace))
    with cluster.client() as api:
        reviews = client.AuthorizationV1Api(api)
        review = reviews.create_subject_access_review(client.V1SubjectAccessReview(spec=spec))
    return bool(review.status.allowed)


@pytest.mark.parametrize("folder", OURS, ids=named)
def test_an_overlay_is_accepted_whole_and_a_second_time(cluster: KubernetesServer, folder: Path) -> None:
    objects = placed(built(folder), space(folder))
    cluster.apply(*objects)
    for kind in ("Role", "RoleBinding", "NetworkPolicy", "Job", "PersistentVolumeClaim", "ConfigMap", "ServiceAccount"):
        there = json.loads(cluster.kubectl("-n", space(folder), "get", kind, "-o", "json").stdout)["items"]
        expected = {o["metadata"]["name"] for o in objects if o["kind"] == kind}
        assert expected <= {o["metadata"]["name"] for o in there}


def test_the_profile_is_one_of_the_whole_cluster_whatever_namespace_the_overlay_has(cluster: KubernetesServer) -> None:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", PROFILE)
    profile = json.loads(cluster.kubectl("get", "profile", "agent0", "-o", "json").stdout)
    assert "namespace" not in profile["metadata"]
    owner = json.loads(cluster.kubectl("get", "namespace", "agent0", "-o", "json").stdout)["metadata"]["annotations"]
    assert owner["owner"] == profile["spec"]["owner"]["name"]


@pytest.mark.parametrize("folder", OURS, ids=named)
def test_the_pods_of_jobs_are_admitted_under_the_restricted_standard(cluster: KubernetesServer, folder: Path) -> None:
    for job in (o for o in built(folder) if o["kind"] == "Job"):
        pod = as_pod(job)
        sent = admit(cluster, space(folder), pod)
        assert sent.returncode == 0, sent.stderr
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        assert "violates PodSecurity" in admit(cluster, space(folder), pod).stderr


@pytest.mark.parametrize(("folder", "namespace"), [(SANDBOX, "agent0-sandbox"), (TRACKING, "agent0-mlflow")])
def test_our_servers_are_accepted_under_the_restricted_standard(
    cluster: KubernetesServer, folder: Path, namespace: str
) -> None:
    objects = built(folder)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    cluster.apply(*objects, account)
    labels = one(objects, "Namespace", namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    owners = [found for found in objects if "template" in found.get("spec", {})]
    assert owners
    for owner in owners:
        sent = admit(cluster, namespace, as_pod(owner))
        assert sent.returncode == 0, sent.stderr


def test_the_pod_that_asks_for_mlflow_is_admitted_under_the_restricted_standard(cluster: KubernetesServer) -> None:
    (pod,) = documents(MANIFESTS / "ask-mlflow.yaml")
    assert admit(cluster, space(NAMESPACE), pod).returncode == 0


@pytest.mark.parametrize("folder", OURS, ids=named)
def test_the_runner_has_the_rights_that_kubeflow_and_argo_use_and_no_other(
    cluster: KubernetesServer, folder: Path
) -> None:
    assert [right for right in RUNNER if not may(cluster, space(folder), right)] == []
    assert [right for right in NEVER if may(cluster, space(folder), right)] == []
    trainjobs = {may(cluster, space(folder), right) for right in TRAINJOBS}
    assert trainjobs == {folder == GPU}


def test_the_runner_may_nothing_outside_its_namespace(cluster: KubernetesServer) -> None:
    runner = f"--as=system:serviceaccount:{space(NAMESPACE)}:agent0-runner"
    asked = ("auth", "can-i", "get", "secrets/mlpipeline-minio-artifact", "-n", space(PROFILE), runner)
    assert cluster.kubectl(*asked, check=False).stdout.strip() == "no"


def test_the_reviews_answer_is_the_one_that_counts(cluster: KubernetesServer) -> None:
    name = space(NAMESPACE)
    runner = f"--as=system:serviceaccount:{name}:agent0-runner"
    read = cluster.kubectl("-n", name, "get", "configmap", "kfp-launcher", "-o", "json", runner)
    assert json.loads(read.stdout)["data"]["defaultPipelineRoot"].startswith("minio://")
    refused = cluster.kubectl("-n", name, "get", "configmap", "agent0-settings", runner, check=False)
    assert "cannot get resource" in refused.stderr


def test_the_quota_refuses_more_gpus_than_it_has_and_gives_limits_to_containers_without(
    cluster: KubernetesServer,
) -> None:
    name = space(GPU)
    pod = as_pod(one(built(GPU), "Job", "agent0-fetch-model"))
    container = pod["spec"]["containers"][0]
    container["resources"] = {"limits": {"nvidia.com/gpu": "17"}}
    assert "exceeded quota" in admit(cluster, name, pod).stderr
    del container["resources"]
    made = json.loads(admit(cluster, name, pod).stdout)
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_the_patch_of_kubeflows_server_changes_its_one_variable(cluster: KubernetesServer) -> None:
    others = [{"name": "V2_DRIVER_IMAGE", "value": "driver"}, {"name": "PUBLISH_LOGS", "value": "true"}]
    env = [others[0], {"name": "COMPILED_PIPELINE_SPEC_PATCH", "value": "{}"}, others[1]]
    template = {
        "metadata": {"labels": {"app": "ml-pipeline"}},
        "spec": {"containers": [{"name": "ml-pipeline-api-server", "image": "server:2.17.0", "env": env}]},
    }
    labels = {"matchLabels": {"app": "ml-pipeline"}}
    metadata = {"name": "ml-pipeline", "namespace": "default"}
    spec = {"selector": labels, "template": template}
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    file = MANIFESTS / "components" / "server" / "ml-pipeline.yaml"
    cluster.kubectl("-n", "default", "patch", "deployment", "ml-pipeline", "--patch-file", file)
    found = json.loads(cluster.kubectl("-n", "default", "get", "deployment", "ml-pipeline", "-o", "json").stdout)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    values = {item["name"]: item["value"] for item in container["env"]}
    assert container["image"] == "server:2.17.0"
    assert "templateDefaults" in json.loads(values.pop("COMPILED_PIPELINE_SPEC_PATCH"))
    assert values == {item["name"]: item["value"] for item in others}


def as_pod(owner: dict[str, Any]) -> dict[str, Any]:
    """The pod that a controller would make of a Job, a Deployment or a StatefulSet."""
    template = copy.deepcopy(owner["spec"]["template"])
    for claim in owner["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        template["spec"].setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name}})
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "tried", **template["metadata"]}}


def admit(cluster: KubernetesServer, namespace: str, pod: dict[str, Any]) -> Any:
    """Send a pod to be looked at by everything that would admit it, without keeping it."""
    sending = ("-n", namespace, "create", "--dry-run=server", "-o", "json", "-f", "-")
    return cluster.kubectl(*sending, given=yaml.safe_dump(pod), check=False)
