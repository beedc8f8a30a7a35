"""The image and the manifests of the sandbox service keep what the documentation says of them."""

import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from agent0.cli.sandbox import app
from agent0.config import SandboxSettings

IMAGES = Path(__file__).parents[2] / "images" / "sandbox"


@pytest.fixture(scope="module")
def manifests():
    found = list(yaml.safe_load_all((IMAGES / "kubernetes.yaml").read_text()))
    return {manifest["kind"]: manifest for manifest in found}


def test_the_pod_meets_the_restricted_standard(manifests):
    assert manifests["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]) == {"requests", "limits"}


def test_no_traffic_leaves_the_pods(manifests):
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["egress"] == []
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert policy["podSelector"]["matchLabels"] == manifests["Deployment"]["spec"]["selector"]["matchLabels"]


def test_the_steps_and_the_nodes_of_trainjobs_may_come_in(manifests):
    (rule,) = manifests["NetworkPolicy"]["spec"]["ingress"]
    selectors = [peer["podSelector"] for peer in rule["from"]]
    assert {"matchLabels": {"pipelines.kubeflow.org/v2_component": "true"}} in selectors
    assert {"matchExpressions": [{"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}]} in selectors


def test_the_service_keeps_the_limits_that_the_settings_have_from_the_start(manifests):
    command = manifests["Deployment"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert f"--memory={SandboxSettings().memory_mb}" in command
    assert not [part for part in command if part.startswith(("--timeout", "--preload"))]


def test_names_and_ports_fit_together(manifests):
    pod = manifests["Deployment"]["spec"]["template"]
    assert manifests["Service"]["spec"]["selector"] == pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": manifests["Service"]["spec"]["ports"][0]["port"]}]
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["spec"]["volumes"]
    }


def command_of_the_image():
    line = next(line for line in (IMAGES / "Dockerfile").read_text().splitlines() if line.startswith("CMD"))
    return yaml.safe_load(line.removeprefix("CMD"))


def test_the_image_is_not_root_and_has_no_entrypoint():
    lines = (IMAGES / "Dockerfile").read_text().splitlines()
    assert not any(line.startswith("ENTRYPOINT") for line in lines)
    assert "USER 10001:10001" in lines


@pytest.mark.parametrize("source", ["image", "manifest"])
def test_the_commands_are_ones_that_the_command_line_takes(source, manifests, tmp_path):
    if source == "image":
        command = command_of_the_image()
    else:
        command = manifests["Deployment"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[:3] == ["agent0", "sandbox", "serve"]
    missing = shlex.split(" ".join(command[2:]).replace("/run/agent0/token", str(tmp_path / "missing")))
    outcome = CliRunner().invoke(app, missing)
    assert "There is no token file" in str(outcome.exception)
