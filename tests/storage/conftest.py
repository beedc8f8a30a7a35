"""A real S3 server for the tests of this room."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _swift_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swift_server", Path(__file__).with_name("swift_server.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running Swift server."""
    module = _swift_module()
    installed = module.installation()
    if installed is None:
        pytest.skip("OpenStack Swift is not installed in .venv-swift; run `make test-integration`")
    server = module.SwiftServer(tmp_path_factory.mktemp("swift"), installed)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def credentials(swift: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who may use the server, and nothing else of this machine's AWS settings."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", swift.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test:tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "password")
    monkeypatch.setenv("AGENT0_STORAGE_DEADLINE", "60")


@pytest.fixture
def client(credentials: None) -> Any:
    """A plain client, to look behind the transfers."""
    from agent0.storage.objects import make_client
    from agent0.storage.settings import TransferSettings

    return make_client(TransferSettings())


@pytest.fixture
def bucket(client: Any) -> str:
    """A new bucket."""
    name = f"agent0-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return name
