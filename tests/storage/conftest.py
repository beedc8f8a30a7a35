"""The S3 servers that the tests of this room run on."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(params=["swift", "ceph"])
def s3(request: pytest.FixtureRequest) -> Any:
    """Swift over HTTP, and Ceph, the strict one, over TLS."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def credentials(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who may use the server, and nothing else of this machine's AWS settings."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    if s3.authority is not None:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(s3.authority))
    monkeypatch.setenv("AGENT0_STORAGE_DEADLINE", "60")


@pytest.fixture
def client(credentials: None) -> Any:
    """A plain client, to look behind the transfers."""
    from agent0.storage.s3_client import make_client
    from agent0.storage.transfer_settings import TransferSettings

    return make_client(TransferSettings())


@pytest.fixture
def bucket(client: Any) -> str:
    """A new bucket."""
    name = f"agent0-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return name
