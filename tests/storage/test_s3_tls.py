"""Transfers over TLS: whose certificate is trusted, and that requests fit a server behind a TLS proxy."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agent0.storage import transfer
from agent0.storage.uri import StorageError

pytestmark = pytest.mark.integration


def make_certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 and its key into one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem) + secret)
    (folder / "authority.pem").write_bytes(certificate.public_bytes(pem))
    return folder / "server.pem"


def pump(source: socket.socket, sink: socket.socket, seen: list[bytes]) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            seen.append(data)
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def serve(listener: socket.socket, context: ssl.SSLContext, target: tuple[str, int], seen: list[bytes]) -> None:
    with suppress(OSError):
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=answer, args=(plain, context, target, seen), daemon=True).start()


def answer(plain: socket.socket, context: ssl.SSLContext, target: tuple[str, int], seen: list[bytes]) -> None:
    with suppress(OSError):
        client = context.wrap_socket(plain, server_side=True)
        server = socket.create_connection(target)
        threading.Thread(target=pump, args=(server, client, []), daemon=True).start()
        pump(client, server, seen)


@pytest.fixture
def requests_seen(swift: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What reaches the server from now on, behind a TLS proxy whose authority is in `authority.pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(tmp_path))
    listener = socket.create_server(("127.0.0.1", 0))
    address = urlsplit(swift.endpoint)
    seen: list[bytes] = []
    target = (str(address.hostname), int(address.port or 0))
    threading.Thread(target=serve, args=(listener, context, target, seen), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://127.0.0.1:{listener.getsockname()[1]}")
    yield seen
    listener.close()


def test_a_certificate_of_nobody_known_is_refused_at_once(bucket: str, requests_seen: list[bytes]) -> None:
    with pytest.raises(StorageError, match="AWS_CA_BUNDLE"):
        transfer.entries(f"s3://{bucket}")
    assert requests_seen == []


def test_a_trusted_certificate_is_enough_and_no_trailers_are_sent(
    tmp_path: Path, bucket: str, requests_seen: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "small").write_bytes(b"small")
    (tmp_path / "source" / "large").write_bytes(bytes(9 << 20))
    transfer.put(tmp_path / "source", f"s3://{bucket}/folder")
    transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert (tmp_path / "back" / "small").read_bytes() == b"small"
    assert (tmp_path / "back" / "large").read_bytes() == bytes(9 << 20)
    sent = b"".join(requests_seen).lower()
    assert b"put /" in sent
    assert b"aws-chunked" not in sent
    assert b"x-amz-trailer" not in sent
