"""Finding the server, and what is said when it does not serve."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent0.kubeflow.server_connection import parse_version
from tests.kubeflow.conftest import Command, command
from tests.kubeflow.server import KfpServer, State, kfp_server


def test_a_server_is_found_by_option_variable_or_not_at_all(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("list", "--endpoint", server.url).out == "There are none.\n"
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.url + "/")
    assert command("list").out == "There are none.\n"
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    done = command("list")
    assert done.code == 2
    assert "Say where Kubeflow Pipelines is, with --endpoint or KF_PIPELINES_ENDPOINT" in done.err


def test_an_unreachable_server_is_said_to_be_so_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        done = command("list", "--endpoint", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert done.code == 1
    assert "Kubeflow Pipelines does not answer at http://127.0.0.1:" in done.err
    assert "port-forward" in done.err


def test_a_server_that_hangs_is_left_after_the_time_limit(server: KfpServer, pipeline: Command) -> None:
    server.break_next("GET", "healthz", "hang")
    done = pipeline("list", "--timeout", "0.3")
    assert (done.code, "did not answer within 0.3 s (--timeout)" in done.err) == (1, True)


def test_an_upload_without_an_answer_is_not_called_undone(server: KfpServer, pipeline: Command) -> None:
    server.break_next("POST", "/runs", "hang")
    pipeline("upload", "evaluation.yaml")
    done = pipeline("run", "evaluation", "--timeout", "1")
    assert done.code == 1
    assert "Whether it was done is not known" in done.err


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (
            "2.15.2",
            "is Kubeflow Pipelines 2.15.2, which refuses settings of these pipelines' pods that it does not know",
        ),
        ("1.8.22", "so every run would fail; have it upgraded to 2.16 or newer."),
    ],
)
def test_an_old_server_is_refused_by_its_version(
    server: KfpServer, pipeline: Command, version: str, sentence: str
) -> None:
    server.state.version = version
    done = pipeline("upload", "evolution.yaml")
    assert done.code == 1
    assert sentence in done.err
    assert server.requests("POST") == []


def test_a_server_without_the_api_is_told_apart(server: KfpServer, pipeline: Command) -> None:
    server.speaks_v2 = False
    assert "There is no API v2beta1 of Kubeflow Pipelines at" in pipeline("list").err
    server.break_next("GET", "healthz", "html")
    assert "answers with a web page" in pipeline("list").err


@pytest.mark.parametrize(
    ("tag", "version"),
    [("2.17.0", (2, 17, 0)), ("v2.5", (2, 5)), ("unknown", ()), ("2.17.0-rc.1", (2, 17, 0)), ("", ())],
)
def test_versions_are_read_from_tags(tag: str, version: tuple[int, ...]) -> None:
    assert parse_version(tag) == version


def test_a_token_comes_from_variable_or_file(
    server: KfpServer, pipeline: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.tokens = {"right"}
    done = pipeline("list")
    assert done.code == 1
    assert "does not know who asks (401): give a token (KF_PIPELINES_TOKEN, --token-file)" in done.err
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "wrong")
    assert "(401)" in pipeline("list").err
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "right")
    assert pipeline("list").code == 0
    (tmp_path / "token").write_text("right\n")
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "wrong")
    assert pipeline("list", "--token-file", str(tmp_path / "token")).code == 0
    monkeypatch.delenv("KF_PIPELINES_TOKEN")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    assert pipeline("list").code == 0
    assert "There is no token file" in pipeline("list", "--token-file", str(tmp_path / "none")).err


def test_a_server_for_several_users_needs_an_allowed_namespace(
    server: KfpServer, pipeline: Command, tmp_path: Path
) -> None:
    server.state.multi_user, server.namespaces = True, {"mine"}
    assert "is for several users: say which --namespace is yours" in pipeline("list").err
    done = pipeline("list", "-n", "other")
    assert done.code == 1
    assert "does not allow this in namespace other (403): User is not authorized" in done.err
    assert pipeline("upload", "evaluation.yaml", "-n", "mine").code == 0
    assert pipeline("run", "evaluation", "-n", "mine").code == 0
    assert pipeline("schedule", "evaluation", "--cron", "0 0 3 * * *", "-n", "mine").code == 0
    kept = [*server.state.pipelines.values(), *server.state.experiments.values(), *server.state.recurring_runs.values()]
    assert {entry["namespace"] for entry in kept} == {"mine"}
    (tmp_path / "context.json").write_text(json.dumps({"namespace": "mine"}))  # kfp's own context
    assert "agent0-evaluation" in pipeline("list").out
    assert "agent0-evaluation" in pipeline("schedules").out


def test_a_pipeline_that_all_share_is_found_from_a_namespace(server: KfpServer, pipeline: Command) -> None:
    pipeline("upload", "evaluation.yaml")
    server.state.multi_user = True
    assert pipeline("run", "evaluation", "-n", "mine").code == 0


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[KfpServer]:
    with kfp_server(State(), make_certificate(tmp_path)) as running:
        yield running


def make_certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 with its key, and the certificate alone as `authority.pem`."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem) + secret)
    (folder / "authority.pem").write_bytes(certificate.public_bytes(pem))
    return folder / "server.pem"


def test_a_certificate_is_checked_against_the_given_authority(secure: KfpServer, tmp_path: Path) -> None:
    done = command("list", "--endpoint", secure.url)
    assert done.code == 1
    assert "is not trusted" in done.err
    assert "--ca-file" in done.err
    assert command("list", "--endpoint", secure.url, "--ca-file", str(tmp_path / "authority.pem")).code == 0
    assert command("list", "--endpoint", secure.url, "--no-verify-tls").code == 0
    assert command("list", "--endpoint", secure.url, "--ca-file", str(tmp_path / "none.pem")).code == 2
