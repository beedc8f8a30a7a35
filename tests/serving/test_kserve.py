"""A registered version as a service of KServe: what is written, that KServe takes it, and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from custom_resources import definition, violations
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import Agent0Error, UsageError
from agent0.planning.hardware import GPUS
from agent0.serving.kserve import GIB, KINDS, Service, gpus_for, host_memory, inference_service, llm_inference_service
from agent0.storage.digest import model_digest
from agent0.storage.uri import StorageError
from agent0.tracking.registry import RegistryError

EXECUTOR = "agent0-executor"
FIRST = f"models:/{EXECUTOR}/1"
PLACE = "s3://mlpipeline/v2/artifacts/x/executor_agent"
SERVICE = Service(EXECUTOR, EXECUTOR, FIRST, "0" * 64, PLACE, gpus=2, memory_gib=32, replicas=3, service_account="s3")


@pytest.fixture
def in_s3(make_model: Callable[[str], Path], registered: Any) -> Path:
    """The files of version 1, which others find in S3."""
    made = make_model("one")
    registered(made, 1, uri=PLACE.replace("s3:", "minio:"))
    return made


def serve(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["models", "serve", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.mark.parametrize(("kind", "version"), [("LLMInferenceService", "v1alpha1"), ("InferenceService", "v1beta1")])
def test_the_manifest_is_one_by_the_published_definition(kind: str, version: str) -> None:
    plural, manifest_of = KINDS[kind]
    schema = definition(f"serving.kserve.io_{plural}", version)
    for service in (SERVICE, Service("a", "A", FIRST, "0" * 64, "hf://owner/name", gpus=1, memory_gib=20)):
        assert list(violations(manifest_of(service), schema)) == []


def test_a_language_model_is_served_over_its_gpus_behind_a_gateway() -> None:
    manifest = llm_inference_service(SERVICE)
    assert manifest["metadata"]["annotations"]["agent0.dev/model"] == FIRST
    spec = manifest["spec"]
    assert spec["model"] == {"uri": PLACE, "name": EXECUTOR}
    assert (spec["replicas"], spec["parallelism"]) == (3, {"tensor": 2})
    assert spec["router"] == {"gateway": {}, "route": {}, "scheduler": {}}
    assert spec["template"]["serviceAccountName"] == "s3"
    (container,) = spec["template"]["containers"]
    assert container["name"] == "main"
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"}
    assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_general_kind_runs_hugging_faces_runtime() -> None:
    predictor = inference_service(SERVICE)["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"], predictor["serviceAccountName"]) == (3, 3, "s3")
    model = predictor["model"]
    assert model["modelFormat"] == {"name": "huggingface"}
    assert model["args"] == [f"--model_name={EXECUTOR}", "--tensor-parallel-size=2"]
    assert model["storageUri"] == PLACE


@pytest.mark.parametrize(
    ("weights", "gpu", "count"), [(1, "L4", 1), (16, "H100", 1), (60, "H100", 2), (140, "H100", 4), (16, "L4", 2)]
)
def test_a_model_gets_as_many_gpus_as_its_weights_need(weights: int, gpu: str, count: int) -> None:
    assert gpus_for(weights * GIB, GPUS[gpu]) == count
    assert host_memory(count, weights * GIB) == weights + 16
    assert host_memory(count, None) == 64 * count


def test_a_model_that_fits_no_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="need 16 GPUs of the kind L4"):
        gpus_for(160 * GIB, GPUS["L4"])


def test_the_command_writes_what_is_served(in_s3: Path, tmp_path: Path) -> None:
    printed = yaml.safe_load(serve(FIRST, "--emit", "kserve", "--gpus", 1))
    assert printed["spec"]["model"]["uri"] == PLACE
    assert printed["metadata"]["annotations"]["agent0.dev/sha256"] == model_digest(in_s3)
    file = tmp_path / "serve.yaml"
    told = serve(FIRST, "--gpus", 1, "-o", file, "--kind", "InferenceService", "--name", "solver")
    assert f"{file}: InferenceService solver of {FIRST}, 1 GPUs" in told
    assert yaml.safe_load(file.read_text())["metadata"]["name"] == "solver"


def test_files_elsewhere_are_served_from_where_they_were_copied_and_their_size_counts(
    make_model: Callable[[str], Path], registered: Any
) -> None:
    registered(make_model("one"), 1)
    with pytest.raises(UsageError, match=r"KServe cannot fetch .* from file://.*--storage-uri"):
        serve(FIRST)
    manifest = yaml.safe_load(serve(FIRST, "--storage-uri", "hf://team/solver"))
    assert manifest["spec"]["model"]["uri"] == "hf://team/solver"
    assert manifest["spec"]["template"]["containers"][0]["resources"]["limits"]["memory"] == "17Gi"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ([f"models:/{EXECUTOR}/7"], RegistryError, "has no version 7"),
        (["s3://somewhere"], UsageError, "names no version of a registered model"),
        ([FIRST, "--emit", "docker"], UsageError, "it can be: kserve"),
        ([FIRST, "--kind", "Pod"], UsageError, "it can be: LLMInferenceService, InferenceService"),
        ([FIRST, "--gpu", "H999"], UsageError, "is not known"),
        ([FIRST, "--gpus", "1", "--name", "Solver_1"], UsageError, "cannot be called 'Solver_1'"),
        ([FIRST, "--gpus", "1", "--namespace", "x"], UsageError, "give both, or neither"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(
    in_s3: Path, arguments: list[str], error: type[Agent0Error], words: str
) -> None:
    with pytest.raises(error, match=words):
        serve(*arguments)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """The sizes of the objects of a store over HTTP, which answers a listing."""
    objects: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = "".join(
                f'<Contents><Key>{key}</Key><Size>{size}</Size><ETag>"1"</ETag></Contents>'
                for key, size in objects.items()
            )
            body = f"<ListBucketResult>{found}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "x")
    yield objects
    server.shutdown()
    server.server_close()


def test_the_size_of_files_in_s3_is_read_there(in_s3: Path, bucket: dict[str, int]) -> None:
    pytest.importorskip("boto3", reason="the extra s3 is not installed")
    with pytest.raises(StorageError, match=r"There is nothing at s3://.*give --gpus"):
        serve(FIRST)
    key = "v2/artifacts/x/executor_agent"
    bucket |= {f"{key}/model-{part}.safetensors": 35 * GIB for part in (1, 2)} | {f"{key}/manifest.json": 900 * GIB}
    manifest = yaml.safe_load(serve(FIRST, "--gpu", "H200"))
    assert manifest["spec"]["template"]["containers"][0]["resources"]["limits"]["memory"] == "86Gi"
    assert manifest["metadata"]["name"] == EXECUTOR
    assert yaml.safe_load(serve(FIRST))["spec"]["parallelism"] == {"tensor": 2}


class ApiServer:
    """As much of Kubernetes' API as applying a service takes; `status` is its answer."""

    def __init__(self) -> None:
        self.status = 201
        self.requests: list[tuple[str, str, dict[str, list[str]], str, dict[str, Any]]] = []


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    state = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            parts = urlsplit(self.path)
            asked = (self.command, parts.path, parse_qs(parts.query), self.headers["Content-Type"], body)
            state.requests.append(asked)
            data = json.dumps(body if state.status < 300 else {"message": "refused by the test"}).encode()
            self.send_response(state.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "test", "user": {"token": "secret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "team-a"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield state
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "namespace", "done"), [(201, "", "created in namespace team-a"), (200, "other", "configured in")]
)
def test_a_service_is_applied_on_the_servers_side(
    cluster: ApiServer, in_s3: Path, status: int, namespace: str, done: str
) -> None:
    cluster.status = status
    told = serve(FIRST, "--gpus", 1, "--apply", *(["--namespace", namespace] if namespace else []))
    assert f"LLMInferenceService {EXECUTOR} {done}" in told
    ((method, path, query, kind, body),) = cluster.requests
    assert method == "PATCH"
    assert path == (
        f"/apis/serving.kserve.io/v1alpha1/namespaces/{namespace or 'team-a'}/llminferenceservices/{EXECUTOR}"
    )
    assert query == {"fieldManager": ["agent0"], "fieldValidation": ["Strict"]}
    assert kind == "application/apply-patch+yaml"
    assert body["kind"] == "LLMInferenceService"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "needs the right to create and patch"),
        (404, "does the cluster know llminferenceservices"),
        (409, "--force-conflicts"),
        (422, "refused by the test"),
    ],
)
def test_a_refusal_of_the_cluster_says_what_to_do(cluster: ApiServer, in_s3: Path, status: int, words: str) -> None:
    cluster.status = status
    with pytest.raises(Agent0Error, match=words):
        serve(FIRST, "--gpus", 1, "--apply")


def test_without_a_cluster_applying_is_refused_in_a_sentence(
    in_s3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Agent0Error, match="Applying a service needs a Kubernetes cluster, and there is none"):
        serve(FIRST, "--gpus", 1, "--apply")
