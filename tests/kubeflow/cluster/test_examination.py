"""`agent0 doctor --cluster` against a real API server: ready, and each way of not being."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.kubernetes import KubernetesServer
from typer.testing import CliRunner

from agent0.cli.main import app
from tests.kubeflow.cluster.ready import TOKENS, grant, patch_status, prepare_cluster, prepare_namespace
from tests.kubeflow.server import State, kfp_server

pytestmark = pytest.mark.integration
READY = "ready"


@pytest.fixture(scope="module")
def cluster(kubernetes_server: KubernetesServer) -> KubernetesServer:
    prepare_cluster(kubernetes_server)
    prepare_namespace(kubernetes_server, READY)
    for user, role in (("editor", "edit"), ("editor", "view"), ("viewer", "view")):
        grant(kubernetes_server, READY, user, f"system:aggregate-to-{role}")
    return kubernetes_server


@pytest.fixture
def doctor(cluster: KubernetesServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run the command as a user; the rows by check, and the exit code."""
    state = State(multi_user=True)
    with kfp_server(state) as server:

        def run(
            *options: str,
            namespace: str = READY,
            user: str = "administrator",
            version: str = "2.17.0",
            multi_user: bool = True,
        ) -> dict[str, Any]:
            state.version, state.multi_user = version, multi_user
            monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(user)))
            given = ["doctor", "--cluster", "--json", "--endpoint", server.url, "-n", namespace, *options]
            done = CliRunner().invoke(app, given)
            assert not done.exception or isinstance(done.exception, SystemExit), done.exception
            shown = json.loads(done.stdout)
            assert done.exit_code == (0 if shown["healthy"] else 1)
            assert "never shown" not in done.output
            return {row.pop("check"): row for row in shown["checks"]}

        yield run


Doctor = Callable[..., dict[str, Any]]


def test_a_namespace_that_is_ready_has_no_failure(doctor: Doctor) -> None:
    rows = doctor("--queue", "training")
    assert {name: row["state"] for name, row in rows.items() if row["state"] != "ok"} == {
        "rights for TrainJobs": "warn"  # Trainer is there, but the overlay has no component for it
    }
    assert rows["Kubernetes"]["finding"].startswith("v1.")
    assert rows["Secret agent0-credentials"]["finding"] == ", ".join(sorted(TOKENS))
    assert rows["GPUs"]["finding"] == "1 node with 8 x NVIDIA-H100-80GB-HBM3; tainted nvidia.com/gpu"
    assert "a pod is ready behind it" in rows["MLflow"]["finding"]


BROKEN = {
    "the artifact store's secret": (
        "secret mlpipeline-minio-artifact",
        "Secret mlpipeline-minio-artifact",
        "fail",
        "no step can read or write artifacts",
    ),
    "the role": (
        "role agent0-runner",
        "rights of agent0-runner",
        "fail",
        "may not: create workflowtaskresults",
    ),
    "the account": ("serviceaccount agent0-runner", "service account agent0-runner", "fail", "there is none in"),
    "the settings": ("configmap agent0-settings", "ConfigMap agent0-settings", "fail", "no tracking server"),
    "the credentials": ("secret agent0-credentials", "Secret agent0-credentials", "warn", "pods get no keys"),
    "the launcher's ConfigMap": ("configmap kfp-launcher", "ConfigMap kfp-launcher", "warn", "outputs go to minio://"),
}


@pytest.mark.parametrize("missing", BROKEN)
def test_what_is_missing_is_named_with_what_to_do(cluster: KubernetesServer, doctor: Doctor, missing: str) -> None:
    thing, check, state, text = BROKEN[missing]
    cluster.kubectl("-n", READY, "delete", *thing.split())
    try:
        row = doctor()[check]
    finally:
        prepare_namespace(cluster, READY)
    assert (row["state"], text in row["finding"]) == (state, True), row
    assert row["advice"]


def test_half_a_pair_of_keys_and_a_key_that_no_pod_reads_are_found(cluster: KubernetesServer, doctor: Doctor) -> None:
    remove = '[{"op": "remove", "path": "/data/AWS_SECRET_ACCESS_KEY"}]'
    cluster.kubectl("-n", READY, "patch", "secret", "agent0-credentials", "--type=json", "-p", remove)
    cluster.kubectl("-n", READY, "patch", "configmap", "agent0-settings", "-p", '{"data": {"HF_HOEM": "/models"}}')
    try:
        rows = doctor()
    finally:
        cluster.kubectl("-n", READY, "delete", "configmap", "agent0-settings")
        prepare_namespace(cluster, READY)
    assert "lacks AWS_SECRET_ACCESS_KEY" in rows["Secret agent0-credentials"]["finding"]
    assert "no pod reads HF_HOEM" in rows["ConfigMap agent0-settings"]["finding"]


def test_a_namespace_that_is_not_there_fails_and_the_cluster_is_still_looked_at(doctor: Doctor) -> None:
    rows = doctor(namespace="nowhere")
    assert rows["namespace nowhere"]["state"] == "fail"
    assert set(rows) == {"Kubeflow Pipelines", "Kubernetes", "namespace nowhere", "storage", "GPUs"}


def test_a_queue_that_is_not_there_fails_and_those_that_are_there_are_named(doctor: Doctor) -> None:
    row = doctor("--queue", "trianing")["Kueue"]
    assert (row["state"], "there are: training" in row["finding"]) == ("fail", True)


def test_a_server_for_one_user_wants_its_own_namespace(cluster: KubernetesServer, doctor: Doctor) -> None:
    elsewhere = doctor(multi_user=False)[f"namespace {READY}"]
    assert (elsewhere["state"], "service ml-pipeline" in elsewhere["finding"]) == ("fail", True)
    cluster.kubectl("-n", READY, "create", "service", "clusterip", "ml-pipeline", "--tcp=8888:8888")
    try:
        assert doctor(multi_user=False)[f"namespace {READY}"]["state"] == "ok"
    finally:
        cluster.kubectl("-n", READY, "delete", "service", "ml-pipeline")


def test_a_claim_that_nothing_binds_fails_and_one_that_waits_for_a_pod_does_not(
    cluster: KubernetesServer, doctor: Doctor
) -> None:
    check = "volume claim agent0-model-cache"
    patch_status(cluster, READY, "pvc", "agent0-model-cache", {"phase": "Pending"})
    try:
        assert "first pod that mounts it" in doctor()[check]["finding"]
        cluster.kubectl("delete", "storageclass", "shared")
        rows = doctor()
        assert (rows[check]["state"], "describe pvc" in rows[check]["advice"]) == ("fail", True)
        assert rows["storage"]["state"] == "warn"
    finally:
        prepare_cluster(cluster)
        prepare_namespace(cluster, READY)


def test_a_tracking_server_without_pods_or_behind_a_closed_door_fails(
    cluster: KubernetesServer, doctor: Doctor
) -> None:
    cluster.kubectl("label", "namespace", READY, "agent0.dev/tracking-client-")
    try:
        assert "agent0.dev/tracking-client=true" in doctor()["MLflow"]["advice"]
        cluster.kubectl("-n", "agent0-mlflow", "delete", "endpointslice", "--all")
        assert "no pod behind it is ready" in doctor()["MLflow"]["finding"]
        cluster.kubectl("-n", "agent0-mlflow", "delete", "service", "agent0-mlflow")
        assert "there is no service agent0-mlflow" in doctor()["MLflow"]["finding"]
    finally:
        prepare_cluster(cluster)
        prepare_namespace(cluster, READY)


def test_an_editor_learns_the_accounts_rights_by_acting_as_it(doctor: Doctor) -> None:
    rows = doctor(user="editor")
    assert rows["rights of agent0-runner"] == {"state": "ok", "finding": "all 4 that are needed", "advice": ""}
    assert rows["GPUs"]["finding"] == "not looked at: you may not list nodes of the cluster"


def test_who_may_see_little_is_told_so_and_nothing_fails_for_it(doctor: Doctor) -> None:
    viewer, stranger = doctor(user="viewer"), doctor(user="stranger")
    assert viewer["Secret agent0-credentials"]["finding"] == f"not looked at: you may not get secrets in {READY}"
    assert viewer["ConfigMap agent0-settings"]["state"] == "ok"
    assert "neither review access" in viewer["rights of agent0-runner"]["finding"]
    assert {row["state"] for name, row in stranger.items() if not name.startswith("Kube")} == {"warn"}


def test_an_old_server_and_one_that_does_not_answer_fail_and_the_cluster_is_still_looked_at(
    doctor: Doctor, cluster: KubernetesServer
) -> None:
    assert doctor(version="2.15.0")["Kubeflow Pipelines"]["state"] == "fail"
    assert doctor(version="2.99.0")["Kubeflow Pipelines"]["state"] == "warn"
    given = ["doctor", "--cluster", "--json", "--endpoint", "http://127.0.0.1:9", "-n", READY]
    rows = {row["check"]: row for row in json.loads(CliRunner().invoke(app, given).stdout)["checks"]}
    assert "does not answer" in rows["Kubeflow Pipelines"]["finding"]
    assert rows[f"namespace {READY}"]["state"] == "ok"


def test_a_token_that_the_cluster_does_not_know_is_one_sentence(
    cluster: KubernetesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = cluster.kubeconfig("viewer").read_text(encoding="utf-8")
    token = next(line for line in text.splitlines() if "token:" in line)
    (tmp_path / "config").write_text(text.replace(token, "    token: expired"), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    done = CliRunner().invoke(app, ["doctor", "--cluster", "--endpoint", "http://127.0.0.1:9", "-n", READY])
    assert "does not know who asks (401)" in str(done.exception)
