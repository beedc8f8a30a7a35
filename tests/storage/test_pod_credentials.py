"""Credentials of a pod (IRSA): the token that the cluster mounts is exchanged for keys, which a real server checks."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent0.storage import transfer
from agent0.storage.uri import StorageError

pytestmark = pytest.mark.integration
pytest.importorskip("boto3", reason="the extra s3 is not installed")
ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{access}</AccessKeyId>
<SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"""
DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>
<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"""


@pytest.fixture
def asked(swift: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[dict[str, list[str]]]]:
    """A security token service that gives Swift's keys for the right token; yields what it was asked."""
    requests: list[dict[str, list[str]]] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            requests.append(form)
            right = form["WebIdentityToken"] == ["token-of-the-pod"]
            body = ANSWER.format(access=swift.access_key, secret=swift.secret_key, token="") if right else DENIED
            self.send_response(200 if right else 403)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Be silent."""

    server = HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
    (tmp_path / "token").write_text("token-of-the-pod")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/agent0")
    yield requests
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("s3", ["swift"], indirect=True)
def test_a_pod_needs_no_keys(
    bucket: str, asked: list[dict[str, list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "source").write_bytes(b"weights")
    transfer.put(tmp_path / "source", f"s3://{bucket}/file")
    transfer.get(f"s3://{bucket}/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"weights"
    assert asked[0]["RoleArn"] == ["arn:aws:iam::123456789012:role/agent0"]
    (tmp_path / "token").write_text("another")
    with pytest.raises(StorageError, match="The pod's role could not be assumed"):
        transfer.get(f"s3://{bucket}/file", tmp_path / "again")
