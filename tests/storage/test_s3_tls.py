"""Transfers over TLS: whose certificate is trusted, and that requests fit a server behind TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent0.storage import transfer
from agent0.storage.uri import StorageError

pytestmark = pytest.mark.integration


def make_source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "small").write_bytes(b"small")
    (folder / "large").write_bytes(bytes(9 << 20))
    return folder


@pytest.fixture
def requests_seen(swift: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What reaches Swift from now on, behind a TLS proxy whose authority is in `authority.pem`."""
    from servers.network import Network
    from servers.tls import make_certificate

    network = Network(swift.endpoint, make_certificate(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", network.endpoint)
    yield network.seen
    network.close()


@pytest.mark.parametrize("s3", ["swift"], indirect=True)
def test_a_certificate_of_nobody_known_is_refused_at_once(bucket: str, requests_seen: list[bytes]) -> None:
    with pytest.raises(StorageError, match="AWS_CA_BUNDLE"):
        transfer.entries(f"s3://{bucket}")
    assert requests_seen == []


@pytest.mark.parametrize("s3", ["swift"], indirect=True)
def test_a_trusted_certificate_is_enough_and_no_trailers_are_sent(
    tmp_path: Path, bucket: str, requests_seen: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    transfer.put(make_source(tmp_path / "source"), f"s3://{bucket}/folder")
    transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert (tmp_path / "back" / "small").read_bytes() == b"small"
    assert (tmp_path / "back" / "large").read_bytes() == bytes(9 << 20)
    sent = b"".join(requests_seen).lower()
    assert b"put /" in sent
    assert b"aws-chunked" not in sent
    assert b"x-amz-trailer" not in sent


@pytest.mark.parametrize("s3", ["ceph"], indirect=True)
def test_a_server_that_refuses_trailers_is_named(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(tmp_path / "source")
    transfer.put(source, f"s3://{bucket}/folder")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    with pytest.raises(StorageError, match="AWS_REQUEST_CHECKSUM_CALCULATION"):
        transfer.put(source, f"s3://{bucket}/other")
    assert transfer.entries(f"s3://{bucket}") == ["folder"]
