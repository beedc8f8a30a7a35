"""The manifests around the pipelines: valid by Kubernetes' schemas, restricted, granting no more than needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from agent0.training.kubernetes_api import JOB_LABEL
from agent0_kfp.pipelines.options import SETTINGS_KEYS
from tests.manifests.building import (
    GPU,
    KIND,
    MANIFESTS,
    NAMESPACE,
    OURS,
    PROFILE,
    ROOT,
    SANDBOX,
    STANDALONE,
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
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
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


def violations(pod: dict[str, Any]) -> list[str]:
    """What the Pod Security Standard `restricted` forbids in a pod; empty where it is met."""
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    for volume in pod.get("volumes", []):
        found += [f"volume {kind}" for kind in volume if kind not in VOLUMES | {"name"}]
    outer = pod.get("securityContext", {})
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        inner = container.get("securityContext", {})
        name = container["name"]
        if inner.get("privileged") or inner.get("procMount", "Default") != "Default":
            found.append(f"{name}: privileged")
        if inner.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name}: may gain privileges")
        if "ALL" not in inner.get("capabilities", {}).get("drop", []):
            found.append(f"{name}: keeps capabilities")
        if set(inner.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append(f"{name}: adds capabilities")
        if inner.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
            found.append(f"{name}: may run as root")
        if inner.get("runAsUser", outer.get("runAsUser")) == 0:
            found.append(f"{name}: runs as root")
        profile = inner.get("seccompProfile", outer.get("seccompProfile", {}))
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name}: no seccomp profile")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"{name}: takes a port of the node")
    return found


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector chooses a pod with these labels."""
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "Exists" for expression in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(e["key"] in labels for e in expressions)


def lets_through(objects: list[dict[str, Any]], source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether pods with labels `source` may call those with `target` in the same namespace, on any port."""
    for direction, key, chosen, other in (("Egress", "to", source, target), ("Ingress", "from", target, source)):
        policies = [
            o["spec"] for o in objects if o["kind"] == "NetworkPolicy" and matches(o["spec"]["podSelector"], chosen)
        ]
        policies = [policy for policy in policies if direction in policy["policyTypes"]]
        rules = [rule for policy in policies for rule in policy[direction.lower()] if "ports" not in rule]
        peers = [peer["podSelector"] for rule in rules for peer in rule[key] if "podSelector" in peer]
        if policies and not any(matches(selector, other) for selector in peers):
            return False
    return True


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
    code = (ROOT / "agent0" / "training" / "kubernetes_api.py").read_text(encoding="utf-8")
    made = set(re.findall(r"self\._(?:jobs|pods)\.(\w+)", code))
    calls = {
        "create_namespaced_custom_object": ("trainjobs", "create"),
        "get_namespaced_custom_object": ("trainjobs", "get"),
        "delete_namespaced_custom_object": ("trainjobs", "delete"),
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


def test_steps_are_closed_to_callers_and_reach_only_names_services_and_https() -> None:
    for path in (MANIFESTS / "base" / "network-policies.yaml",):
        (policy,) = documents(path)
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        assert policy["spec"]["ingress"] == []
        for rule in policy["spec"]["egress"]:
            outside = "to" not in rule or any("ipBlock" in peer for peer in rule["to"])
            ports = {port["port"] for port in rule.get("ports", [])}
            assert not outside or ports in ({53, 5353}, {443, 6443})


def test_names_are_asked_of_any_resolver_a_cache_on_the_node_included() -> None:
    policies = [o for folder in OURS for o in built(folder) if o["kind"] == "NetworkPolicy"]
    closed = [policy["spec"] for policy in policies if "Egress" in policy["spec"]["policyTypes"]]
    assert closed
    for spec in closed:
        names = [rule for rule in spec["egress"] if "to" not in rule]
        assert [{(port["protocol"], port["port"]) for port in rule["ports"]} for rule in names] == [
            {("UDP", 53), ("TCP", 53), ("UDP", 5353), ("TCP", 5353)}
        ]


def test_nodes_of_a_trainjob_reach_each_other_and_the_step_that_serves_them_and_nobody_else_reaches_either() -> None:
    step, node, stranger = {"pipelines.kubeflow.org/v2_component": "true"}, {JOB_LABEL: "job"}, {"app": "notebook"}
    with_jobs, without = built(GPU), built(PROFILE)
    calls = [(node, node), (node, step), (step, node), (step, step), (stranger, node), (stranger, step)]
    assert [lets_through(with_jobs, *call) for call in calls] == [True, True, False, False, False, False]
    assert not lets_through(without, node, step)


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


def test_objects_go_where_kubeflow_runs_pipelines() -> None:
    for folder, expected in {STANDALONE: "kubeflow", KIND: "kubeflow", PROFILE: "agent0", GPU: "agent0"}.items():
        assert one(built(folder), "ServiceAccount", "agent0-runner")["metadata"]["namespace"] == expected


@pytest.mark.parametrize("folder", [PROFILE, NAMESPACE, GPU], ids=named)
def test_a_namespace_of_ours_is_one_that_kubeflows_network_policies_let_in(folder: Path) -> None:
    labels = one(built(folder), "Namespace", "agent0")["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "kubeflow-profile"


@pytest.mark.parametrize("folder", [PROFILE, GPU], ids=named)
def test_the_namespace_of_a_profile_names_the_owner_so_that_the_profiles_controller_takes_it_over(folder: Path) -> None:
    objects = built(folder)
    profile, namespace = one(objects, "Profile", "agent0"), one(objects, "Namespace", "agent0")
    assert namespace["metadata"]["annotations"]["owner"] == profile["spec"]["owner"]["name"] == "user@example.com"
    assert namespace["metadata"]["labels"]["pipelines.kubeflow.org/enabled"] == "true"


def test_without_a_profiles_controller_the_namespace_has_what_it_would_have_made_but_for_the_secret() -> None:
    objects = built(NAMESPACE)
    root = one(objects, "ConfigMap", "kfp-launcher")["data"]["defaultPipelineRoot"]
    repository = yaml.safe_load(one(objects, "ConfigMap", "artifact-repositories")["data"]["default-namespaced"])
    assert root.startswith("minio://mlpipeline/private-artifacts/agent0/")
    assert repository["s3"]["keyFormat"].startswith("private-artifacts/agent0/")
    assert repository["s3"]["accessKeySecret"] == {"name": "mlpipeline-minio-artifact", "key": "accesskey"}


@pytest.mark.parametrize("folder", OURS, ids=named)
def test_each_claim_is_made_writable_for_the_user_of_steps_where_pipelines_mount_it(folder: Path) -> None:
    objects = built(folder)
    claims = {o["metadata"]["name"] for o in objects if o["kind"] == "PersistentVolumeClaim"}
    pod = one(objects, "Job", "agent0-volumes")["spec"]["template"]["spec"]
    mounted = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
    assert mounted == claims
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"] == 10001
    (container,) = pod["containers"]
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(Path(made).parent) for made in container["args"]} == places
    assert one(objects, "ConfigMap", "agent0-settings")["data"]["HF_HOME"] in container["args"]


def test_jobs_have_no_sidecar_that_would_keep_them_from_ending() -> None:
    jobs = [o for o in built(GPU) if o["kind"] == "Job"]
    assert len(jobs) == 2
    for metadata in (job["spec"]["template"]["metadata"] for job in jobs):
        assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
        assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"


def test_the_pod_that_asks_for_mlflow_is_restricted_and_a_step_to_network_policies() -> None:
    (pod,) = documents(MANIFESTS / "ask-mlflow.yaml")
    assert violations(pod["spec"]) == []
    step = one(built(PROFILE), "NetworkPolicy", "agent0-steps")["spec"]["podSelector"]
    assert matches(step, pod["metadata"]["labels"])


def test_the_patch_of_kubeflows_server_is_one_of_templates_so_that_it_survives_and_restarts_no_part_of_a_pipeline() -> (
    None
):
    (patch,) = documents(MANIFESTS / "components" / "server" / "ml-pipeline.yaml")
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    (variable,) = container["env"]
    assert (container["name"], variable["name"]) == ("ml-pipeline-api-server", "COMPILED_PIPELINE_SPEC_PATCH")
    (defaults,) = json.loads(variable["value"]).items()
    assert defaults[0] == "templateDefaults"
    assert defaults[1]["retryStrategy"] == {"limit": "0", "retryPolicy": "Always"}
    assert defaults[1]["securityContext"]["fsGroup"] == 10001


def test_the_claims_and_accounts_are_those_that_the_documentation_names() -> None:
    text = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    objects = [o for path in FILES if path.is_relative_to(MANIFESTS) for o in documents(path)]
    for kind in ("ServiceAccount", "PersistentVolumeClaim", "ConfigMap", "Secret"):
        assert all(f"`{o['metadata']['name']}`" in text for o in objects if o["kind"] == kind)
