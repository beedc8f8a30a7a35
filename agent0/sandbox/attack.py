"""Running the attack corpus: the world that must stay whole, and a verdict per attack."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent0.sandbox.attacks.model import ESCAPED, FORBIDDEN, PRELUDE, Attack
from agent0.sandbox.pool import SandboxPool
from agent0.sandbox.result import RunResult

_HONEST = "import time\ntime.sleep(0.2)\nprint(sum(range(100000)))"
_HONEST_OUTPUT = "4999950000\n"
SECRET_VARIABLE = "AGENT0_ATTACK_SECRET"


@dataclass(frozen=True)
class Verdict:
    """Whether an attack was contained; `why` says what was not as it must be."""

    attack: Attack
    contained: bool
    why: str
    result: RunResult


class World:
    """What the attacks aim at: a canary file, sockets, a victim process, a secret in the environment.

    Enter it before the pool starts, so that a pool that passed its environment on would be found out.
    """

    def __enter__(self) -> World:
        self.secret = secrets.token_hex(16)
        self._environment_before = os.environ.get(SECRET_VARIABLE)
        os.environ[SECRET_VARIABLE] = self.secret
        self._folder = tempfile.TemporaryDirectory(prefix="agent0-attack-")
        root = Path(self._folder.name)
        root.chmod(0o777)
        self.canary = root / "canary"
        self.canary.write_text(self.secret)
        self.canary.chmod(0o666)
        self._written = self.canary.stat().st_mtime_ns
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._abstract = socket.socket(socket.AF_UNIX)
        self.abstract = f"\0agent0-attack-{self.secret[:8]}"
        self._abstract.bind(self.abstract)
        self._unix = socket.socket(socket.AF_UNIX)
        self.unix_path = root / "socket"
        self._unix.bind(str(self.unix_path))
        self.unix_path.chmod(0o777)
        for listener in (self._abstract, self._unix):
            listener.listen()
        for listener in (self._tcp, self._udp, self._abstract, self._unix):
            listener.setblocking(False)
        self._victim = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])
        return self

    def __exit__(self, *_: object) -> None:
        self._victim.kill()
        self._victim.wait()
        for listener in (self._tcp, self._udp, self._abstract, self._unix):
            listener.close()
        self._folder.cleanup()
        if self._environment_before is None:
            del os.environ[SECRET_VARIABLE]
        else:
            os.environ[SECRET_VARIABLE] = self._environment_before

    def prelude(self, first_output: str = "") -> str:
        """The names that a program finds."""
        constants = (
            str(self.canary),
            self._tcp.getsockname()[1],
            self._udp.getsockname()[1],
            self.abstract,
            str(self.unix_path),
            os.getpid(),
            self._victim.pid,
            str(Path.cwd()),
            self.secret,
            first_output,
        )
        text = PRELUDE.replace("@WORLD@", repr(constants)).replace("@NUMBERS@", repr(FORBIDDEN))
        return text.replace("@ESCAPED@", ESCAPED)

    def damage(self) -> str:
        """What is no longer as it was, or ''; arrivals are taken, so each is told once."""
        if not self.canary.is_file() or self.canary.read_text() != self.secret:
            return "the canary file was changed"
        if self.canary.stat().st_mode & 0o777 != 0o666 or self.canary.stat().st_nlink != 1:
            return "the canary's mode or links were changed"
        if self.canary.stat().st_mtime_ns != self._written:
            return "the canary's times were changed"
        if sorted(path.name for path in self.canary.parent.iterdir()) != ["canary", "socket"]:
            return "files were made beside the canary"
        if self._victim.poll() is not None:
            return "the victim process was ended"
        for listener in (self._tcp, self._abstract, self._unix, self._udp):
            try:
                if listener is self._udp:
                    listener.recv(16)
                else:
                    listener.accept()[0].close()
            except BlockingIOError:
                continue
            return "something arrived at a socket of the owner"
        return ""


def run_corpus(pool: SandboxPool, world: World, corpus: Iterable[Attack]) -> Iterator[Verdict]:
    """Run each attack in `pool` and judge it, one at a time.

    Raises:
        SandboxError: the sandbox broke down, which no attack may bring about.
    """
    for attack in corpus:
        honest = pool.submit(_HONEST, timeout_seconds=20.0) if attack.beside else None
        result = pool.run(world.prelude() + attack.program, timeout_seconds=attack.timeout_seconds)
        reasons = [_judge(attack, result), world.damage()]
        if attack.second:
            after = pool.run(world.prelude(result.stdout) + attack.second, timeout_seconds=5.0)
            if ESCAPED in after.stdout or not after.ok:
                reasons.append(f"the next program found traces: {after.stdout}{after.stderr}")
        if honest is not None and honest.result().stdout != _HONEST_OUTPUT:
            reasons.append(f"the honest program beside it failed: {honest.result()}")
        if pool.run("print(2 + 3)", timeout_seconds=10.0).stdout != "5\n":
            reasons.append("the pool no longer works")
        why = "; ".join(reason for reason in reasons if reason)
        yield Verdict(attack, not why, why, result)


def _judge(attack: Attack, result: RunResult) -> str:
    if ESCAPED in result.stdout:
        return next(line for line in result.stdout.splitlines() if ESCAPED in line)
    if result.status not in attack.statuses:
        return f"ended as {result.status}, not {' or '.join(attack.statuses)}: {result.stderr.strip()[-300:]}"
    if attack.exit_code is not None and result.exit_code != attack.exit_code:
        return f"exit code {result.exit_code}, not {attack.exit_code}"
    if attack.silent and result.stdout:
        return f"printed {result.stdout[:200]!r}"
    if attack.prints not in result.stdout:
        return f"did not print {attack.prints!r} but {result.stdout[:200]!r}"
    if attack.complains not in result.stderr:
        return f"stderr lacks {attack.complains!r}: {result.stderr[-200:]!r}"
    return ""
