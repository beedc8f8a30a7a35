"""The tracking server's compose file and manifests are valid, closed by default, and deploy the same server."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "mlflow"
KUBERNETES = FOLDER / "kubernetes"
FILES = sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml")


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


MANIFESTS = {(m["kind"], m["metadata"]["name"]): m for path in FILES for m in documents(path)}
PODS = {key: m["spec"]["template"] for key, m in MANIFESTS.items() if "template" in m.get("spec", {})}
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SECRETS = {
    line.split("=")[0]
    for line in (FOLDER / "env.example").read_text().splitlines()
    if "=" in line and not line.startswith("#")
}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def test_the_compose_file_meets_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, FOLDER / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("key", MANIFESTS, ids="/".join)
def test_a_manifest_meets_its_schema(key: tuple[str, str]) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(MANIFESTS[key], "1.31", strict=True)


@pytest.mark.parametrize("folder", ["base", "existing-stores"])
def test_kustomize_builds(folder: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES / folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert built.returncode == 0, built.stderr
    found = {(m["kind"], m["metadata"]["name"]) for m in yaml.safe_load_all(built.stdout)}
    assert (("StatefulSet", "agent0-mlflow-postgres") in found) == (folder == "base")
    assert ("Deployment", "agent0-mlflow") in found
    assert "kind: Secret" not in built.stdout


@pytest.mark.parametrize("key", PODS, ids="/".join)
def test_a_pod_meets_the_restricted_standard(key: tuple[str, str]) -> None:
    pod = PODS[key]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    claims = {claim["metadata"]["name"] for claim in MANIFESTS[key]["spec"].get("volumeClaimTemplates", [])}
    assert mounts == {volume["name"] for volume in pod["volumes"]} | claims
    if key[0] != "Job":
        assert {"readinessProbe", "livenessProbe"} <= set(container)


def test_the_namespace_enforces_that_standard_and_denies_traffic_by_default() -> None:
    labels = MANIFESTS["Namespace", "agent0-mlflow"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert MANIFESTS["NetworkPolicy", "default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_services_and_policies_name_pods_and_ports_that_are_there() -> None:
    labels = {template["metadata"]["labels"]["app"] for template in PODS.values()}
    ports = {
        (template["metadata"]["labels"]["app"], port["name"], port["containerPort"])
        for template in PODS.values()
        for port in template["spec"]["containers"][0].get("ports", [])
    }
    for (kind, name), manifest in MANIFESTS.items():
        if kind == "Service":
            app = manifest["spec"]["selector"]["app"]
            assert {(app, p["targetPort"], p["port"]) for p in manifest["spec"]["ports"]} <= ports
        if kind == "NetworkPolicy" and name != "default-deny":
            app = manifest["spec"]["podSelector"]["matchLabels"]["app"]
            assert app in labels
            allowed = {p["port"] for rule in manifest["spec"].get("ingress", []) for p in rule["ports"]}
            assert allowed <= {number for owner, _, number in ports if owner == app}


def test_secrets_are_named_and_never_given() -> None:
    assert "Secret" not in {kind for kind, _ in MANIFESTS}
    assert all(f"{name}=\n" in (FOLDER / "env.example").read_text() for name in SECRETS)
    referred = [
        value["secretKeyRef"]
        for template in PODS.values()
        for value in environment(template["spec"]["containers"][0]).values()
        if isinstance(value, dict)
    ]
    assert {reference["name"] for reference in referred} == {"agent0-mlflow"}
    assert {reference["key"] for reference in referred} == SECRETS
    text = (FOLDER / "compose.yaml").read_text()
    assert all(f"${{{name}:?" in text for name in SECRETS)
    accounts = configparser.ConfigParser()
    accounts.read(KUBERNETES / "base" / "auth.ini")
    assert "admin_password" not in accounts["mlflow"]
    assert "@" not in accounts["mlflow"]["database_uri"]


def test_compose_and_kubernetes_deploy_the_same_server() -> None:
    (container,) = PODS["Deployment", "agent0-mlflow"]["spec"]["containers"]
    service = COMPOSE["services"]["mlflow"]
    assert container["command"] == service["command"]
    assert set(environment(container)) == set(service["environment"])
    for name in ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "AWS_REQUEST_CHECKSUM_CALCULATION", "PGDATABASE", "PGUSER"):
        assert environment(container)[name] == service["environment"][name]
    version = service["image"].rpartition(":")[2]
    assert f"newTag: {version}}}" in (KUBERNETES / "base" / "kustomization.yaml").read_text()
    assert PODS["Job", "agent0-mlflow-upgrade"]["spec"]["containers"][0]["image"] == service["image"]


def test_the_image_tag_is_the_version_of_mlflow_that_clients_have() -> None:
    mlflow = pytest.importorskip("mlflow")
    assert COMPOSE["services"]["mlflow"]["image"].endswith(f":{mlflow.__version__}")


def test_compose_opens_one_port_on_loopback_and_limits_every_service() -> None:
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert ports == {"mlflow": ["${MLFLOW_BIND:-127.0.0.1}:5000:5000"]}
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    for name, service in COMPOSE["services"].items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert name == "bucket" or {"mem_limit", "healthcheck"} <= set(service)
