"""Server processes: started by a command, awaited by what they answer, ended by their id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

START_SECONDS = 180.0  # generous: a loaded machine is slow, not broken


class ServerError(RuntimeError):
    """A server did not start; the end of its log is in the message."""


class ServerProcess:
    """One server in a session of its own, with what it prints in a file; none of it outlives a killed test run."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        whole_tree: bool = False,
    ) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                _bound_to_us([str(part) for part in command], user, whole_tree),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until `ready` says yes.

        Raises:
            ServerError: the process ended, or `seconds` passed.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = f"ended with {self._process.returncode}" if ended else f"was not ready after {seconds:.0f} s"
                self.kill()
                raise ServerError(f"{self._process.args!r} {why}:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it and its children at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and kill what is left after ten seconds."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _bound_to_us(command: list[str], user: str | None, whole_tree: bool) -> list[str]:
    """The command, run as `user` and killed by the kernel when we are gone; with its whole tree, if we are root."""
    setpriv, unshare = shutil.which("setpriv"), shutil.which("unshare")
    if setpriv is None:
        return command
    if whole_tree and unshare and os.geteuid() == 0:
        command = [unshare, "--fork", "--pid", "--mount-proc", "--kill-child", *command]
    identity = ["--reuid", user, "--regid", user, "--init-groups"] if user else []
    return [setpriv, *identity, "--pdeathsig", "KILL", *command]


def free_ports(count: int) -> list[int]:
    """Return so many loopback ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def listens(port: int) -> bool:
    """Say whether somebody accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def is_healthy(uri: str) -> bool:
    """Say whether an MLflow server answers that it is well."""
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
