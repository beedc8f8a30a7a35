"""The sandbox's service as a process of its own on loopback, as `agent0 sandbox serve` starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from agent0.config import SandboxSettings
from agent0.sandbox.bearer_token import TOKEN_VARIABLE


class Service:
    """A service in another process; `url` is its endpoint."""

    def __init__(self, settings: SandboxSettings, token: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        limits = (
            f"['serve', '--port', '{port}', '--preload', '{','.join(settings.preload)}', '--workers', '2', "
            f"'--memory', '{settings.memory_mb}', '--timeout', '{settings.timeout_seconds}']"
        )
        code = f"from agent0.cli.sandbox import app; app({limits})"
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen([sys.executable, "-c", code], env={**environment, TOKEN_VARIABLE: token})

    def wait(self) -> None:
        """Wait until it is ready."""
        while not self._is_ready():
            assert self.process.poll() is None, "the service ended"
            time.sleep(0.05)

    @property
    def programs(self) -> int:
        """How many programs it has run, the self test's included."""
        metrics = httpx.get(f"{self.url}/metrics").text
        return round(sum(float(n) for n in re.findall(r"^agent0_sandbox_finished_total\{.*\} (\S+)$", metrics, re.M)))

    def drain(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, and wait for its end."""
        self.process.kill()
        self.process.wait()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def sandbox_services(settings: SandboxSettings, token: str, count: int = 1) -> Iterator[list[Service]]:
    """Start services that keep the limits of `settings`, and end them with the block."""
    services = [Service(settings, token) for _ in range(count)]
    try:
        for service in services:
            service.wait()
        yield services
    finally:
        for service in services:
            service.kill()
