"""The manifests around the pipelines: valid by Kubernetes' schemas, restricted, granting no more than needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from agent0.kubeflow.acceptance.pod_security import violations
from agent0.kubeflow.compile_options import SETTINGS_KEYS
from tests.manifests.building import (
    GPU,
    MANIFESTS,
    NAMESPACE,
    OURS,
    PROFILE,
    ROOT,
    SANDBOX,
    built,
    documents,
    named,
    one,
)

OVERLAYS = [*OURS, SANDBOX]
EVERY_FILE = [path for folder in (MANIFESTS, SANDBOX) for path in sorted(folder.rglob("*.yaml"))]
PATCHES = {"ml-pipeline.yaml"}  # of objects that are not ours
KUSTOMIZATIONS = [path for path in EVERY_FILE if path.name == "kustomization.yaml"]
FILES = [path for path in EVERY_FILE if path not in KUSTOMIZATIONS and path.name not in PATCHES]
KUBEFLOWS = {("ClusterRole", "kubeflow-pipelines-edit"), ("User", "user@example.com")}
CUSTOM = {"Profile"}  # of Kubeflow: Kubernetes has no schema of it
BROAD = {"*", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate"}


def validate(found: dict[str, Any]) -> None:
    """Compare an object with Kubernetes' own schema, where it is one of Kubernetes."""
    if found["kind"] not in CUSTOM:
        kubernetes_validate.validate(found, "1.30", strict=True)


def pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Specifications of all pods in the objects."""
    for found in objects:
        spec = found.get("spec") or {}
        if found["kind"] == "Pod":
            yield spec
        elif "template" in spec:
            yield spec["template"]["spec"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_object_is_valid_by_the_schemas_of_kubernetes(path: Path) -> None:
    objects = documents(path)
    assert objects
    for found in objects:
        validate(found)


def test_the_schemas_would_catch_a_misspelt_field() -> None:
    (account,) = documents(MANIFESTS / "base" / "service-account.yaml")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**account, "automountServiceAcountToken": False}, "1.30", strict=True)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=named)
def test_a_kustomization_lists_what_is_there_and_all_that_is_there(path: Path) -> None:
    (found,) = documents(path)
    assert found["kind"] in ("Kustomization", "Component")
    patches = [patch["path"] for patch in found.get("patches", []) if "path" in patch]
    listed = [*found.get("resources", []), *found.get("components", []), *patches]
    assert all((path.parent / name).exists() for name in listed)
    files = {file.name for file in path.parent.glob("*.yaml")} - {"kustomization.yaml"}
    assert files - set(listed) <= {"secret.example.yaml"}


@pytest.mark.parametrize("folder", OVERLAYS, ids=named)
def test_an_overlay_builds_into_valid_objects_of_one_namespace(folder: Path) -> None:
    objects = built(folder)
    for found in objects:
        validate(found)
    spaces = {o["metadata"]["namespace"] for o in objects if "namespace" in o["metadata"]}
    assert len(spaces) == 1
    for found in objects:
        for subject in found.get("subjects", []):
            assert subject["kind"] != "ServiceAccount" or subject["namespace"] in spaces


@pytest.mark.parametrize("folder", OVERLAYS, ids=named)
def test_every_pod_meets_the_restricted_standard(folder: Path) -> None:
    for pod in pods(built(folder)):
        assert violations(pod) == []
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert set(container["resources"]) == {"requests", "limits"}


def test_the_check_of_the_standard_catches_each_breach() -> None:
    (pod,) = pods(documents(MANIFESTS / "components" / "gpu" / "fetch-model.yaml"))
    assert violations(pod) == []
    (container,) = pod["containers"]
    for breach in (
        {"allowPrivilegeEscalation": True},
        {"capabilities": {}},
        {"privileged": True},
        {"runAsUser": 0},
        {"runAsNonRoot": False},
        {"seccompProfile": {"type": "Unconfined"}},
    ):
        broken = {**container, "securityContext": {**container["securityContext"], **breach}}
        assert violations({**pod, "containers": [broken]}), breach
    assert violations({**pod, "volumes": [{"name": "x", "hostPath": {"path": "/"}}]})
    assert violations({**pod, "hostNetwork": True})


def test_the_runner_may_read_named_objects_only_and_change_nothing_but_results_and_trainjobs() -> None:
    roles = [o for path in FILES for o in documents(path) if o["kind"] in ("Role", "ClusterRole")]
    assert {role["kind"] for role in roles} == {"Role"}
    assert len(roles) == 2
    may_change = {"workflowtaskresults": {"create", "patch"}, "trainjobs": {"create", "delete"}}
    for rule in (rule for role in roles for rule in role["rules"]):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        for resource in rule["resources"]:
            assert set(rule["verbs"]) & BROAD <= may_change.get(resource, set())
            if resource in ("secrets", "configmaps"):
                assert rule["resourceNames"]
                assert rule["verbs"] == ["get"]


def test_the_role_for_trainjobs_grants_the_calls_that_are_made_and_no_other() -> None:
    folder = ROOT / "agent0" / "training"
    code = "".join((folder / name).read_text(encoding="utf-8") for name in ("kubernetes_api.py", "admission.py"))
    made = set(re.findall(r"(?:self\._(?:jobs|pods)|\bapi)\.(\w+_namespaced_\w+)", code))
    calls = {
        "create_namespaced_custom_object": ("trainjobs", "create"),
        "get_namespaced_custom_object": ("trainjobs", "get"),
        "delete_namespaced_custom_object": ("trainjobs", "delete"),
        "list_namespaced_custom_object": ("workloads", "list"),
        "list_namespaced_pod": ("pods", "list"),
        "read_namespaced_pod_log": ("pods/log", "get"),
    }
    assert made <= set(calls), "a new call needs a verb in the Role"
    role, _ = documents(MANIFESTS / "components" / "trainjobs" / "role.yaml")
    granted = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert granted == {calls[name] for name in made}


def test_bindings_bind_the_roles_and_the_account_that_are_there() -> None:
    objects = [o for path in FILES for o in documents(path)]
    names = {(o["kind"], o["metadata"]["name"]) for o in objects} | KUBEFLOWS
    for found in (o for o in objects if o["kind"].endswith("Binding")):
        assert (found["roleRef"]["kind"], found["roleRef"]["name"]) in names
        assert all((s["kind"], s["name"]) in names for s in found["subjects"])


def test_no_secret_value_is_in_the_manifests() -> None:
    for folder in OVERLAYS:
        assert not [o for o in built(folder) if o["kind"] == "Secret"]
    (example,) = documents(MANIFESTS / "base" / "secret.example.yaml")
    assert all(value.startswith("<") and value.endswith(">") for value in example["stringData"].values())


def test_settings_point_to_the_tracking_server_of_this_project_and_its_policy_lets_the_namespace_in() -> None:
    server = ROOT / "mlflow" / "kubernetes" / "base"
    services = [o for path in server.glob("*.yaml") for o in documents(path) if o["kind"] == "Service"]
    (namespace,) = (o["metadata"]["name"] for o in documents(server / "namespace.yaml"))
    urls = {
        f"http://{service['metadata']['name']}.{namespace}:{port['port']}"
        for service in services
        for port in service["spec"]["ports"]
    }
    for folder in OURS:
        settings = one(built(folder), "ConfigMap", "agent0-settings")
        assert settings["data"]["MLFLOW_TRACKING_URI"] in urls
    policies = (o for o in documents(server / "network.yaml") if o["metadata"]["name"] == "mlflow")
    (wanted,) = (rule["from"][0]["namespaceSelector"]["matchLabels"] for rule in next(policies)["spec"]["ingress"])
    for folder in (PROFILE, NAMESPACE, GPU):
        labels = one(built(folder), "Namespace", "agent0")["metadata"]["labels"]
        assert wanted.items() <= labels.items()


@pytest.mark.parametrize("folder", OURS, ids=named)
def test_settings_of_an_overlay_are_keys_that_pods_read(folder: Path) -> None:
    settings = one(built(folder), "ConfigMap", "agent0-settings")
    assert set(settings["data"]) <= set(SETTINGS_KEYS)


def test_the_pod_that_asks_for_mlflow_meets_the_restricted_standard() -> None:
    (pod,) = documents(MANIFESTS / "ask-mlflow.yaml")
    assert violations(pod["spec"]) == []


def test_the_claims_and_accounts_are_those_that_the_documentation_names() -> None:
    text = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    objects = [o for path in FILES if path.is_relative_to(MANIFESTS) for o in documents(path)]
    for kind in ("ServiceAccount", "PersistentVolumeClaim", "ConfigMap", "Secret"):
        assert all(f"`{o['metadata']['name']}`" in text for o in objects if o["kind"] == kind)
