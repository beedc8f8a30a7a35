"""`run` and `schedule` look up a model in S3 before anything is sent, if the store can be asked from here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent0.kubeflow import parameters
from agent0.storage.manifest import Manifest
from tests.kubeflow.conftest import Command
from tests.kubeflow.server import KfpServer

pytest.importorskip("boto3", reason="the extra s3 is not installed")
OBJECTS = {"/models/whole/manifest.json": Manifest(()).to_bytes(), "/models/half/config.json": b"{}"}
LISTED = "<ListBucketResult>{}<IsTruncated>false</IsTruncated></ListBucketResult>"
COMMANDS = (["run", "evaluation"], ["schedule", "agent0-evaluation", "--cron", "0 0 3 * * *"])


class Store(BaseHTTPRequestHandler):
    """As much of S3 as looking up takes."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if "list-type" in query:
            prefix = query.partition("prefix=")[2].partition("&")[0].replace("%2F", "/")
            keys = [place.removeprefix("/models/") for place in OBJECTS]
            found = [f'<Contents><Key>{k}</Key><Size>2</Size><ETag>"1"</ETag></Contents>' for k in keys if prefix in k]
            self._answer(200, LISTED.format("".join(found)).encode())
        elif path in OBJECTS:
            self._answer(200, OBJECTS[path])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def _uploaded(pipeline: Command) -> None:
    assert pipeline("upload", "evaluation.yaml").code == 0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store with one whole model and a half one, and credentials for it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    yield
    server.shutdown()
    server.server_close()


def sent(server: KfpServer) -> int:
    return len(server.state.runs) + len(server.state.recurring_runs)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_model_that_is_there_is_run(server: KfpServer, pipeline: Command, command: list[str]) -> None:
    done = pipeline(*command, "--model", "s3://models/whole", "--benchmarks", "tiny")
    assert (done.code, sent(server)) == (0, 1)
    assert "looked up" not in done.err


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("s3://models/none", "There is nothing at s3://models/none"),
        ("s3://models/half", "s3://models/half is not whole"),
        ("s3://models//half", "S3 does not resolve"),
    ],
)
def test_a_model_that_is_not_there_starts_nothing(
    server: KfpServer, pipeline: Command, command: list[str], model: str, sentence: str
) -> None:
    done = pipeline(*command, "--model", model, "--benchmarks", "tiny")
    assert (done.code, sent(server)) == (1, 0)
    assert sentence in done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_without_credentials_a_warning_says_that_nobody_looked(
    server: KfpServer, pipeline: Command, command: list[str]
) -> None:
    done = pipeline(*command, "--model", "s3://models/7", "--benchmarks", "tiny")
    assert (done.code, sent(server)) == (0, 1)
    assert "s3://models/7 was not looked up from here" in done.err
    assert "no complete S3 credentials" in done.err


@pytest.mark.usefixtures("store")
def test_a_store_that_does_not_answer_is_given_up_soon(
    server: KfpServer, pipeline: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setattr(parameters, "LOOK_UP_SECONDS", 0.1)
    done = pipeline("run", "evaluation", "--model", "s3://models/7", "--benchmarks", "tiny")
    assert (done.code, sent(server)) == (0, 1)
    assert "s3://models/7 was not looked up from here" in done.err
    assert "http://127.0.0.1:9 did not answer" in done.err
