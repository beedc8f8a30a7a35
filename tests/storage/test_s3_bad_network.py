"""Transfers over a network that is slow or breaks off: nothing is lost, and nothing half done is visible."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent0.storage import transfer
from agent0.storage.uri import StorageError

pytestmark = pytest.mark.integration
MEBIBYTE = 1 << 20


@pytest.fixture
def network(s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The network between this test and its server; TLS passes through it as it is."""
    from servers.network import Network

    network = Network(s3.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", network.endpoint)
    yield network
    network.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(os.urandom(20 * MEBIBYTE))
    for index in range(10):
        (folder / f"{index}.json").write_bytes(os.urandom(1000))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_connections_that_break_in_the_middle_are_made_again(
    tmp_path: Path, bucket: str, network: Any, source: Path
) -> None:
    network.cuts = [5 * MEBIBYTE, 100_000, 3 * MEBIBYTE, 500, 0, 2 * MEBIBYTE]
    transfer.put(source, f"s3://{bucket}/folder")
    network.cuts = [5 * MEBIBYTE, 100_000, 3 * MEBIBYTE, 500, 0, 2 * MEBIBYTE]
    transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert network.cuts == []
    assert contents(tmp_path / "back") == contents(source)


def test_a_slow_network_is_slow_and_nothing_else(
    tmp_path: Path, bucket: str, network: Any, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_STORAGE_DEADLINE", "8")
    network.delay_seconds = 0.05
    network.bytes_per_second = 4 * MEBIBYTE
    begin = time.monotonic()
    transfer.put(source, f"s3://{bucket}/folder")
    transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert time.monotonic() - begin > 8  # longer than the deadline of a request that gets no answer
    assert contents(tmp_path / "back") == contents(source)


def test_a_network_that_is_gone_for_good_leaves_nothing_visible_and_what_had_arrived_is_kept(
    tmp_path: Path, bucket: str, network: Any, source: Path, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    monkeypatch.setenv("AGENT0_STORAGE_DEADLINE", "2")
    monkeypatch.setenv("AGENT0_STORAGE_WORKERS", "1")
    for index in range(3):
        (source / f"adapter-{index}.safetensors").write_bytes(os.urandom(6 * MEBIBYTE))

    def fall(done: int, _: int) -> None:
        network.is_down = done > 28 * MEBIBYTE  # within the model

    with pytest.raises(StorageError, match=r"did not answer for .* AGENT0_STORAGE_DEADLINE"):
        transfer.put(source, f"s3://{bucket}/folder", fall)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket, Prefix="folder/manifest.json")
    network.is_down = False
    assert transfer.entries(f"s3://{bucket}") == []
    before = len(b"".join(network.seen))
    transfer.put(source, f"s3://{bucket}/folder")
    assert len(b"".join(network.seen)) - before < 22 * MEBIBYTE  # the model, and no adapter again
    transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(source)
