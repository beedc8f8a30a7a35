"""The HTTP service and its client, over a real server on loopback."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import uvicorn

from agent0.config import SandboxSettings
from agent0.errors import UsageError
from agent0.sandbox import SandboxError, SandboxPool
from agent0.sandbox.bearer_token import read_token
from agent0.sandbox.client import SandboxClient
from agent0.sandbox.service import create_app, serve

TOKEN = "test-token"
SETTINGS = SandboxSettings(preload=(), workers=2, timeout_seconds=5.0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(SETTINGS, queue_limit=20) as running:
        yield running


@pytest.fixture(scope="module")
def address(pool):
    port = free_port()
    config = uvicorn.Config(create_app(pool, TOKEN, max_body_bytes=100_000), port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def http(address):
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture
def client(address):
    with SandboxClient([address], TOKEN, deadline_seconds=20) as made:
        yield made


def test_run_gives_a_result(http):
    answer = http.post("/v1/run", json={"source": "print(input())", "stdin": "hello"})
    assert answer.status_code == 200
    assert answer.json()["stdout"] == "hello\n"
    assert answer.json()["status"] == "ok"


def test_batch_gives_results_in_order(http):
    answer = http.post("/v1/batch", json={"sources": [f"print({n})" for n in range(40)]}, timeout=30)
    assert [result["stdout"] for result in answer.json()["results"]] == [f"{n}\n" for n in range(40)]


@pytest.mark.parametrize("path", ["/v1/run", "/v1/batch", "/run_code"])
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_without_the_token_nothing_runs(address, path, header):
    assert httpx.post(f"{address}{path}", json={"source": "1"}, headers=header).status_code == 401


def test_health_and_metrics_need_no_token(address, http):
    http.post("/v1/run", json={"source": "1"})
    assert httpx.get(f"{address}/healthz").status_code == 200
    assert httpx.get(f"{address}/readyz").json() == {"status": "ready"}
    metrics = httpx.get(f"{address}/metrics").text
    assert 'agent0_sandbox_finished_total{status="ok"}' in metrics
    assert 'agent0_sandbox_latency_seconds{quantile="0.99"}' in metrics


def test_a_long_body_is_refused_declared_or_not(http):
    assert http.post("/v1/run", json={"source": "#" * 200_000}).status_code == 413
    pieces = (b"x" * 10_000 for _ in range(20))
    assert http.post("/v1/run", content=pieces).status_code == 413


@pytest.mark.parametrize(
    "body",
    [{}, {"source": 1}, {"source": "1", "unknown": 2}, {"source": "1", "timeout_seconds": 0}],
)
def test_a_malformed_request_is_refused(http, body):
    assert http.post("/v1/run", json=body).status_code == 422


def test_a_limit_above_the_service_s_is_refused(http):
    answer = http.post("/v1/run", json={"source": "1", "timeout_seconds": 60})
    assert answer.status_code == 400
    assert "at most 5" in answer.json()["error"]


def test_a_full_queue_is_503_with_a_time_to_wait(http, pool):
    busy = [pool.submit("import time; time.sleep(0.4)") for _ in range(22)]
    answer = http.post("/v1/run", json={"source": "1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    for future in busy:
        future.cancel()


def test_a_client_that_hangs_up_ends_its_program(http, pool):
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/run", json={"source": "while True: pass"}, timeout=0.5)
    deadline = time.monotonic() + 3  # well below the program's own limit of 5 s
    while pool.gauges().running:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_request_shape_of_sandbox_fusion_is_understood(http):
    body = {"code": "print(1 + 1)", "language": "python", "compile_timeout": 1.0, "run_timeout": 3.0, "stdin": None}
    answer = http.post("/run_code", json=body).json()
    assert answer["status"] == "Success"
    run = answer["run_result"]
    assert (run["status"], run["return_code"], run["stdout"]) == ("Finished", 0, "2\n")
    failed = http.post("/run_code", json={"code": "1/0", "language": "python"}).json()
    assert (failed["status"], failed["run_result"]["status"], failed["run_result"]["return_code"]) == (
        "Failed",
        "Finished",
        1,
    )
    slow = http.post("/run_code", json={"code": "while True: pass", "language": "python", "run_timeout": 0.3}).json()
    assert slow["run_result"]["status"] == "TimeLimitExceeded"
    assert http.post("/run_code", json={"code": "x", "language": "bash"}).status_code == 400
    assert http.post("/run_code", json={"code": "x", "files": {"a": "b"}}).status_code == 400


def test_client_runs_like_a_pool(client):
    assert client.run("print(2 + 3)").stdout == "5\n"
    assert [result.stdout for result in client.run_many([f"print({n})" for n in range(10)])] == [
        f"{n}\n" for n in range(10)
    ]
    assert asyncio.run(client.arun("6 * 7")).stdout == "42\n"
    with pytest.raises(UsageError, match="at most"):
        client.run("1", timeout_seconds=100)


def test_client_says_when_the_token_is_wrong(address):
    with SandboxClient([address], "wrong") as client, pytest.raises(SandboxError, match="bearer token"):
        client.run("1")


def test_client_goes_on_to_an_endpoint_that_answers(address):
    dead = f"http://127.0.0.1:{free_port()}"
    with SandboxClient([dead, address, dead], TOKEN, deadline_seconds=10) as client:
        assert all(client.run("1").ok for _ in range(3))


def test_client_gives_up_at_its_deadline_with_an_error():
    before = time.monotonic()
    with (
        SandboxClient([f"http://127.0.0.1:{free_port()}"], deadline_seconds=1.0) as client,
        pytest.raises(SandboxError, match="No sandbox gave a result"),
    ):
        client.run("1")
    assert 0.9 < time.monotonic() - before < 5


class Flaky(BaseHTTPRequestHandler):
    failures = 2

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        type(self).failures -= 1
        ok = type(self).failures < 0
        result = {"status": "ok", "stdout": "5\n", "stderr": "", "exit_code": 0, "wall_seconds": 0.1}
        body = json.dumps({**result, "cpu_seconds": 0.1, "peak_memory_mb": 1.0}).encode() if ok else b"busy"
        self.send_response(200 if ok else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_client_tries_again_after_503():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with SandboxClient([f"http://127.0.0.1:{server.server_port}"], deadline_seconds=20) as client:
            assert client.run("print(2 + 3)").stdout == "5\n"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert Flaky.failures == -1


def test_an_open_address_without_a_token_is_refused(monkeypatch):
    monkeypatch.delenv("AGENT0_SANDBOX_TOKEN", raising=False)
    with pytest.raises(UsageError, match="without a bearer token"):
        serve(SETTINGS, "0.0.0.0", free_port(), None)


def test_a_token_comes_from_a_file_or_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AGENT0_SANDBOX_TOKEN", "from-environment")
    (tmp_path / "token").write_text("from-file\n")
    assert read_token(tmp_path / "token") == "from-file"
    assert read_token(None) == "from-environment"
    (tmp_path / "token").write_text("\n")
    with pytest.raises(UsageError, match="holds no token"):
        read_token(tmp_path / "token")
    (tmp_path / "token").write_text("two words\n")
    with pytest.raises(UsageError, match="holds no token"):
        read_token(tmp_path / "token")
    monkeypatch.setenv("AGENT0_SANDBOX_TOKEN", "")
    with pytest.raises(UsageError, match="AGENT0_SANDBOX_TOKEN holds no token"):
        read_token(None)
    with pytest.raises(UsageError, match="no token file"):
        read_token(tmp_path / "missing")


def test_sigterm_finishes_what_runs_and_then_ends():
    port = free_port()
    code = f"from agent0.cli.sandbox import app; app(['serve', '--port', '{port}', '--preload', '', '--workers', '1'])"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "AGENT0_SANDBOX_TOKEN": TOKEN})
    try:
        with SandboxClient([f"http://127.0.0.1:{port}"], TOKEN, deadline_seconds=20) as client:
            assert client.run("1").ok
            answers = []
            slow = threading.Thread(
                target=lambda: answers.append(client.run("import time; time.sleep(1.0); print('end')"))
            )
            slow.start()
            time.sleep(0.4)
            process.send_signal(signal.SIGTERM)
            slow.join()
        assert [answer.stdout for answer in answers] == ["end\n"]
        assert process.wait(timeout=10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
