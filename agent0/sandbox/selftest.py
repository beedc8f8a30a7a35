"""The self test: what the sandbox proves about itself before it runs anything.

A layer is on when it was put on in a trial. A guarantee is proven when a probe program, run as every other program
is, tried to break it and could not: that is what policy `strict` asks for, whichever layers bring it about.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent0.sandbox.jail import limits
from agent0.sandbox.pool_options import PoolOptions
from agent0.sandbox.result import RunResult, SandboxError

_REMEDIES = {
    "network": "seccomp (any kernel since 3.17 with CONFIG_SECCOMP_FILTER) or a network namespace",
    "files": (
        "Landlock (Linux 6.2 or later with 'landlock' in the lsm= boot list), or permission to make a mount namespace "
        "(unprivileged user namespaces, or CAP_SYS_ADMIN)"
    ),
    "processes": "seccomp (CONFIG_SECCOMP_FILTER; the container's profile must allow the seccomp call)",
    "memory": "resource limits (RLIMIT_AS)",
    "privileges": "another user id for each program: start the sandbox as a user other than root, or see layer user_id",
}

_PROBE = """
import json, os
broken = {"network": [], "files": [], "processes": [], "memory": [], "privileges": []}

def attempt(guarantee, name, action):
    try:
        action()
    except (OSError, MemoryError, RuntimeError, ImportError):
        return
    broken[guarantee].append(name)

def connect():
    import socket
    with socket.create_connection(("127.0.0.1", @PORT@), timeout=2):
        pass

def datagram():
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"probe", ("127.0.0.1", @UDP@))

def local():
    import socket
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(@ABSTRACT@)

def fork():
    if os.fork() == 0:
        os._exit(0)

def change_mode():
    os.chmod(@CANARY@, 0o777)
    if os.stat(@CANARY@).st_mode & 0o777 != 0o777:
        raise PermissionError("granted, but not done")

def act_as_root():
    if not @ROOT@ or os.geteuid() != 0:
        raise PermissionError("another user")

def have_capabilities():
    import ctypes
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capget(header, held) != 0 or not any(held):
        raise PermissionError("none")

def threads():
    import threading, time
    for _ in range(@THREADS@ * 4):
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
    time.sleep(0.5)

attempt("network", "TCP connection to a listener of the owner", connect)
attempt("network", "UDP datagram to a socket of the owner", datagram)
attempt("network", "connection to an abstract unix socket of the owner", local)
attempt("files", "read outside", lambda: open(@CANARY@).read())
attempt("files", "write outside", lambda: open(@CANARY@, "r+").write("x"))
attempt("files", "truncate outside", lambda: os.truncate(@CANARY@, 0))
attempt("files", "truncate outside while opening to read", lambda: os.open(@CANARY@, os.O_RDONLY | os.O_TRUNC))
attempt("files", "make a file outside", lambda: open(@CANARY@ + ".new", "w"))
attempt("files", "remove a file outside", lambda: os.unlink(@CANARY@))
attempt("files", "list a folder outside", lambda: os.listdir(os.path.dirname(@CANARY@)))
attempt("files", "change a file's mode outside", change_mode)
attempt("processes", "fork", fork)
attempt("processes", "signal to the server", lambda: os.kill(os.getppid() or 1, 0))
attempt("privileges", "run as root", act_as_root)
attempt("privileges", "hold capabilities", have_capabilities)
attempt("memory", "allocation above the limit", lambda: bytearray(@MEMORY@ << 20))
open("own", "w").write("scratch must work")
print(json.dumps(broken), flush=True)
try:
    os.execv("/bin/true", ["true"])
except OSError:
    print("no exec", flush=True)
threads()
print("threads")
"""


@dataclass(frozen=True)
class Layer:
    """One layer of isolation: on, or off with the reason."""

    name: str
    on: bool
    detail: str


@dataclass(frozen=True)
class Guarantee:
    """Something that a program must not be able to do; `broken` lists what the probe could do all the same."""

    name: str
    broken: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether every attempt of the probe failed."""
        return not self.broken


@dataclass(frozen=True)
class Report:
    """The outcome of the self test."""

    layers: tuple[Layer, ...]
    guarantees: tuple[Guarantee, ...]
    readable: tuple[str, ...]

    @property
    def strict(self) -> bool:
        """Whether policy 'strict' is met."""
        return all(guarantee.proven for guarantee in self.guarantees)

    def enforce(self, policy: str) -> None:
        """Let a pool start under `policy`, or not.

        Raises:
            SandboxError: policy 'strict' is not met; names what is missing and how to get it.
        """
        if policy == "permissive" or self.strict:
            return
        off = {layer.name: layer.detail for layer in self.layers if not layer.on}
        missing = "; ".join(
            f"{guarantee.name} ({', '.join(guarantee.broken)}), which needs {_REMEDIES[guarantee.name]}"
            for guarantee in self.guarantees
            if not guarantee.proven
        )
        raise SandboxError(
            f"The sandbox cannot prove its isolation, so policy 'strict' runs nothing. Not contained: {missing}. "
            f"Layers off: {', '.join(f'{name} ({detail})' for name, detail in off.items()) or 'none'}. "
            "Run `agent0 sandbox check` for the whole table."
        )


def examine(report: dict[str, Any], run: Callable[[str], RunResult], memory_mb: int, options: PoolOptions) -> Report:
    """Run the probe program with `run` and join its outcome to a fork server's `report` of layers.

    Raises:
        SandboxError: the probe did not run to its end in a way that allows a judgement.
    """
    layers = tuple(Layer(name, on, detail) for name, on, detail in report["layers"])
    with tempfile.TemporaryDirectory(prefix="agent0-canary-", dir=options.scratch_dir) as folder:
        Path(folder).chmod(0o777)
        canary = Path(folder) / "canary"
        token = secrets.token_hex(16)
        canary.write_text(token)
        canary.chmod(0o666)
        with _Listeners() as listeners:
            source = _fill(
                PORT=listeners.tcp_port,
                UDP=listeners.udp_port,
                ABSTRACT=listeners.abstract,
                THREADS=options.threads,
                CANARY=str(canary),
                MEMORY=memory_mb,
                ROOT=limits.is_root(),
            )
            result = run(source)
            reached = listeners.reached()
        damaged = not canary.is_file() or canary.read_text() != token or len(list(Path(folder).iterdir())) != 1
        damaged = damaged or canary.stat().st_mode & 0o777 != 0o666
    return Report(layers, _judge(result, reached, damaged), tuple(report["readable"]))


def _fill(**values: object) -> str:
    source = _PROBE
    for name, value in values.items():
        source = source.replace(f"@{name}@", repr(value))
    return source


def _judge(result: RunResult, reached: list[str], damaged: bool) -> tuple[Guarantee, ...]:
    lines = result.stdout.splitlines()
    if not lines or not lines[0].startswith("{"):
        raise SandboxError(
            f"The sandbox's probe program ended as {result.status} (exit code {result.exit_code}) without a verdict: "
            f"{result.stderr.strip()[-300:] or 'no message'}"
        )
    broken: dict[str, list[str]] = json.loads(lines[0])
    broken["network"] += [name for name in reached if name not in broken["network"]]
    if damaged:
        broken["files"].append("a file outside was changed")
    if "no exec" not in lines[1:]:
        broken["processes"].append("exec")
    if "threads" in lines[1:]:
        broken["processes"].append("more threads than allowed")
    return tuple(Guarantee(name, tuple(broken[name])) for name in _REMEDIES)


class _Listeners:
    """Sockets of the owner that the probe must not reach."""

    def __enter__(self) -> _Listeners:
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.abstract = f"\0agent0-probe-{os.getpid()}-{secrets.token_hex(4)}"
        self._unix.bind(self.abstract)
        self._unix.listen()
        self.tcp_port: int = self._tcp.getsockname()[1]
        self.udp_port: int = self._udp.getsockname()[1]
        return self

    def reached(self) -> list[str]:
        """Which of them something arrived at."""
        attempts: list[tuple[str, socket.socket, Callable[[], Any]]] = [
            ("TCP connection arrived", self._tcp, self._tcp.accept),
            ("UDP datagram arrived", self._udp, lambda: self._udp.recv(16)),
            ("unix connection arrived", self._unix, self._unix.accept),
        ]
        arrived = []
        for name, listener, take in attempts:
            listener.setblocking(False)
            try:
                take()
            except BlockingIOError:
                continue
            arrived.append(name)
        return arrived

    def __exit__(self, *_: object) -> None:
        for listener in (self._tcp, self._udp, self._unix):
            listener.close()
