"""The pods that a check renders, before a real API server under Pod Security `restricted`: it admits what we accept."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from servers.kubernetes import KubernetesServer

from agent0.kubeflow.acceptance import RELEASES, check_package
from agent0.kubeflow.compiled_pipeline import read_package

pytestmark = pytest.mark.integration
NAMESPACE = "rendered"
GOLDENS = sorted((Path(__file__).parents[2] / "pipelines" / "golden").glob("*.yaml"))


@pytest.fixture(scope="module")
def pods(kubernetes_server: KubernetesServer) -> client.CoreV1Api:
    """The API for pods, with a namespace that enforces the standard and has the account of the pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubernetes_server.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}},
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}
            for name in ("default", "agent0-runner", "pipeline-runner")
        ),
    )
    return client.CoreV1Api(kubernetes_server.client())


def rendered(golden: Path, release: str) -> list[dict[str, Any]]:
    """The pods of a pipeline, as manifests."""
    return [
        copy.deepcopy(dict(pod.manifest)) for pod in check_package(read_package(str(golden)), RELEASES[release]).pods
    ]


def refusal(pods: client.CoreV1Api, manifest: dict[str, Any]) -> str:
    """Why the server would not make a pod; empty where it would."""
    try:
        pods.create_namespaced_pod(NAMESPACE, manifest, dry_run="All", field_validation="Strict")
    except ApiException as error:
        return str(error.body)
    return ""


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.stem)
def test_every_pod_of_a_golden_is_admitted(pods: client.CoreV1Api, golden: Path, release: str) -> None:
    found = {manifest["metadata"]["name"]: refusal(pods, manifest) for manifest in rendered(golden, release)}
    assert found
    assert {name: why for name, why in found.items() if why} == {}


BROKEN = {
    "may not be specified when `value` is not empty": lambda main: main["env"].append(
        {"name": "TWICE", "value": "x", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}
    ),
    "violates PodSecurity": lambda main: main["securityContext"].update(runAsNonRoot=False, runAsUser=0),
    "strict decoding error": lambda main: main.update(resorces={}),
}


@pytest.mark.parametrize("text", BROKEN)
def test_the_server_refuses_what_our_rules_are_about(pods: client.CoreV1Api, text: str) -> None:
    manifest = rendered(GOLDENS[0], "2.17")[0]
    (main,) = (item for item in manifest["spec"]["containers"] if item["name"] == "main")
    main.setdefault("env", [])
    main.setdefault("securityContext", {})
    BROKEN[text](main)
    assert text in refusal(pods, manifest)
