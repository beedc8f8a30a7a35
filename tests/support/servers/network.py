"""A bad network between a client and a server: a proxy on loopback that delays, throttles, cuts, and can speak TLS."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

from servers.tls import Certificate

BLOCK = 1 << 16


class Network:
    """Passes connections on to the server at `endpoint`; how badly may be changed at any time.

    With `certificate` it ends TLS, so that `seen` holds what clients said in plain text; without, bytes pass as they
    are, encrypted or not.
    """

    def __init__(self, endpoint: str, certificate: Certificate | None = None) -> None:
        address = urlsplit(endpoint)
        self._target = (str(address.hostname), int(address.port or 0))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate.certificate, certificate.key)
        scheme = "https" if certificate else address.scheme
        self.endpoint = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: list[bytes] = []
        self.delay_seconds = 0.0  # before each block, in either direction
        self.bytes_per_second = 0.0  # of each connection and direction; 0 for no limit
        self.cuts: list[int] = []  # the next connections break after so many bytes, in either direction, one item each
        self.is_down = False  # connections are reset as they come
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept nothing any more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        if self.is_down:
            _reset(client)
            return
        budget = _Budget(self.cuts.pop(0)) if self.cuts else None
        with suppress(OSError):
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            server = socket.create_connection(self._target)
            threading.Thread(target=self._pump, args=(server, client, budget, []), daemon=True).start()
            self._pump(client, server, budget, self.seen)

    def _pump(self, source: socket.socket, sink: socket.socket, budget: _Budget | None, seen: list[bytes]) -> None:
        with suppress(OSError):
            while data := source.recv(BLOCK):
                time.sleep(self.delay_seconds + (len(data) / self.bytes_per_second if self.bytes_per_second else 0.0))
                if self.is_down or (budget is not None and not budget.allows(len(data))):
                    _reset(source)
                    _reset(sink)
                    return
                seen.append(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


class _Budget:
    """How much may still pass through one connection, both directions together."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def allows(self, size: int) -> bool:
        with self._lock:
            self._left -= size
            return self._left >= 0


def _reset(connection: socket.socket) -> None:
    """End a connection as a broken cable does: at once, with what was on its way lost."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # wakes the other thread, which would keep it open
    connection.close()
