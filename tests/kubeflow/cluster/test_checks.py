"""Single checks, on objects of the Kubernetes client's own types and answers on loopback."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import Agent0Error
from agent0.kubeflow.cluster import capacity, namespace_objects, rights, services
from agent0.kubeflow.cluster.cluster_reader import Cluster, NotAllowedError
from agent0.kubeflow.server_connection import Server
from tests.manifests.building import MANIFESTS, documents


@pytest.fixture
def cluster() -> Cluster:
    """A cluster of which nothing answers; a test puts in what it needs."""
    return Cluster(client.Configuration(host="http://127.0.0.1:9"), "agent0")


def node(name: str, gpus: int = 0, product: str = "", taints: tuple[str, ...] = ()) -> client.V1Node:
    labels = {"nvidia.com/gpu.product": product} if product else {}
    allocatable = {"cpu": "8", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    closed = [client.V1Taint(effect="NoSchedule", key=key) for key in taints]
    return client.V1Node(
        metadata=client.V1ObjectMeta(name=name, labels=labels),
        spec=client.V1NodeSpec(taints=closed),
        status=client.V1NodeStatus(allocatable=allocatable),
    )


def answering(item: Any) -> Any:
    """A call of the client that answers with an item, or raises it."""

    def call(*_: Any, **options: Any) -> Any:
        assert options["_request_timeout"]
        if isinstance(item, Exception):
            raise item
        return item

    return call


def test_gpus_are_counted_by_kind_and_taints_become_parameters_that_can_be_pasted(cluster: Cluster) -> None:
    nodes = [
        node("a", 8, "H100", ("gpu", "node.kubernetes.io/not-ready")),
        node("b", 8, "H100"),
        node("c", 4),
        node("d"),
    ]
    cluster.core = SimpleNamespace(list_node=answering(client.V1NodeList(items=nodes)))
    found = capacity.gpus(cluster)
    assert found.finding == "2 nodes with 8 x H100; 1 node with 4 x GPU; tainted gpu"
    assert """training_tolerations=[{"key": "gpu", "operator": "Exists"}]'""" in found.advice


def test_a_cluster_without_gpus_is_a_warning(cluster: Cluster) -> None:
    cluster.core = SimpleNamespace(list_node=answering(client.V1NodeList(items=[node("a")])))
    assert capacity.gpus(cluster).state == "warn"


@pytest.mark.parametrize(
    ("version", "state"),
    [((2, 15, 0), "fail"), ((2, 16, 1), "ok"), ((2, 17, 0), "ok"), ((2, 18, 0), "warn"), ((), "warn")],
)
def test_a_release_is_supported_or_said_not_to_be(version: tuple[int, ...], state: str) -> None:
    assert services.pipelines(Server(None, "http://kfp", "", version, False)).state == state


def test_kueue_and_trainer_that_are_not_there_are_missed_by_a_run_that_names_them_only(cluster: Cluster) -> None:
    assert capacity.queue(cluster, {}, "").state == "ok"
    assert capacity.queue(cluster, {}, "training").state == "fail"
    assert capacity.trainer(cluster, {}).state == "ok"
    assert capacity.trainer(cluster, {"trainer.kubeflow.org": ["v2"]}).state == "fail"


def test_a_queue_that_its_controller_calls_inactive_is_a_warning(cluster: Cluster) -> None:
    shut = {"conditions": [{"type": "Active", "status": "False"}]}
    items = [{"metadata": {"name": "training"}, "status": shut}, {"metadata": {"name": "other"}}]
    cluster.custom = SimpleNamespace(list_namespaced_custom_object=answering({"items": items}))
    found = capacity.queue(cluster, {"kueue.x-k8s.io": ["v1beta2", "v1beta1"]}, "training")
    assert (found.state, found.finding) == ("warn", "v1beta2; not active: training")
    assert capacity.queue(cluster, {"kueue.x-k8s.io": ["v1beta2"]}, "other").state == "ok"


@pytest.mark.parametrize(
    ("mode", "many", "state"),
    [("ReadWriteMany", True, "ok"), ("ReadWriteOnce", False, "warn"), ("ReadWriteOnce", True, "fail")],
)
def test_a_volume_that_one_node_mounts_serves_no_trainjob(cluster: Cluster, mode: str, many: bool, state: str) -> None:
    claim = client.V1PersistentVolumeClaim(
        spec=client.V1PersistentVolumeClaimSpec(
            access_modes=[mode],
            resources=client.V1VolumeResourceRequirements(requests={"storage": "1Gi"}),
            storage_class_name="fast",
        ),
        status=client.V1PersistentVolumeClaimStatus(phase="Bound"),
    )
    cluster.core = SimpleNamespace(read_namespaced_persistent_volume_claim=answering(claim))
    assert namespace_objects.claim(cluster, "agent0-shared", many).state == state


@pytest.fixture
def mlflow(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers with the status of the parameter."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def settings_of(cluster: Cluster, uri: str) -> None:
    config = client.V1ConfigMap(data={"MLFLOW_TRACKING_URI": uri})
    cluster.core = SimpleNamespace(read_namespaced_config_map=answering(config))


@pytest.mark.parametrize("mlflow", [200, 401], indirect=True)
def test_a_tracking_server_answers_even_if_it_first_asks_who_we_are(cluster: Cluster, mlflow: str) -> None:
    settings_of(cluster, mlflow)
    assert services.tracking(cluster, "agent0-settings").finding == f"{mlflow} answers"


@pytest.mark.parametrize("mlflow", [503], indirect=True)
def test_a_tracking_server_outside_that_fails_is_a_warning_with_a_way_to_look_from_inside(
    cluster: Cluster, mlflow: str
) -> None:
    settings_of(cluster, mlflow)
    found = services.tracking(cluster, "agent0-settings")
    assert (found.state, "503" in found.finding, "ask-mlflow.yaml" in found.advice) == ("warn", True, True)


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "/mlruns"])
def test_a_tracking_server_that_is_a_file_fails(cluster: Cluster, uri: str) -> None:
    settings_of(cluster, uri)
    assert services.tracking(cluster, "agent0-settings").state == "fail"


def test_what_is_not_allowed_is_said_in_short(cluster: Cluster) -> None:
    refused = ApiException(status=403, reason="Forbidden")
    said = 'nodes is forbidden: User "me" cannot list resource "nodes" in API group "" at the cluster scope'
    refused.body = json.dumps({"message": said})
    with pytest.raises(NotAllowedError, match=r"^you may not list nodes of the cluster$"):
        cluster.ask(answering(refused))
    assert cluster.ask(answering(ApiException(status=404))) is None


def test_a_cluster_that_does_not_answer_is_one_sentence(cluster: Cluster) -> None:
    with pytest.raises(Agent0Error, match=r"The cluster at http://127\.0\.0\.1:9 does not answer .*current-context"):
        cluster.version()


def test_without_a_kubeconfig_the_command_says_so_and_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    done = CliRunner().invoke(app, ["doctor", "--cluster", "--endpoint", "http://127.0.0.1:9"])
    assert isinstance(done.exception, Agent0Error)
    assert "set KUBECONFIG" in str(done.exception)


@pytest.mark.parametrize(
    ("file", "needed"), [("base/role.yaml", rights.RUNNER), ("components/trainjobs/role.yaml", rights.TRAINJOBS)]
)
def test_the_rights_that_are_asked_for_are_those_that_the_manifests_grant(
    file: str, needed: tuple[rights.Right, ...]
) -> None:
    role, _ = documents(MANIFESTS / file)
    granted = {
        rights.Right(verb, resource, group, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }
    assert granted == set(needed)
