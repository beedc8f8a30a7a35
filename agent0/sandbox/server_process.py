"""A fork server as its owner holds it: a process started by exec and a control socket to it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from agent0.sandbox.execution import Execution
from agent0.sandbox.jail import cgroups, scratch, wire
from agent0.sandbox.result import SandboxError

# Loads the folder `jail` as a top-level package of a bare interpreter: no site packages, no environment, no agent0.
# The call of `main` returns in the fork server alone, the next one in a program's process alone. Python asks for the
# text of a SystemExit when nothing is on the stack any more: this runs the program, whose first frame has no caller.
_BOOT = """
import sys
sys.path.append(sys.argv[1])
from jail import supervisor
sys.path.pop()
raise SystemExit([supervisor.main(int(sys.argv[2]), int(sys.argv[3]))().program(), globals().clear()][0])
"""
_SECONDS_TO_END = 5.0
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",  # each further arena reserves 64 MiB of the address space that a program may have
}


class ServerProcess:
    """Starting, ready, or gone; and the executions that it is busy with, by number.

    `replaces` is the server that retires once this one is ready.

    Raises:
        OSError: the process cannot be started; nothing is left of it.
    """

    def __init__(self, config: dict[str, Any], replaces: ServerProcess | None = None) -> None:
        self.replaces = replaces
        self.slots: int = config["slots"]
        self.executions: dict[int, Execution] = {}
        self.report: dict[str, Any] | None = None
        self.runs = 0
        self.retiring = False
        self.started = time.monotonic()
        command = [sys.executable, "-s", "-S", "-P", "-X", "utf8", "-c", _BOOT]
        with contextlib.ExitStack() as undo:
            self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.enter_context(self.control)
            with theirs:
                self.control.send(wire.pack_json(config))
                self._stderr = os.memfd_create("sandbox-stderr")
                undo.callback(os.close, self._stderr)
                self._process = subprocess.Popen(
                    [*command, str(Path(__file__).parent), str(theirs.fileno()), str(os.getpid())],
                    env=_ENVIRONMENT,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            undo.pop_all()
        self.control.setblocking(False)

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._process.pid

    @property
    def free(self) -> int:
        """Programs that it could take now."""
        if self.report is None or self.retiring:
            return 0
        return self.slots - len(self.executions)

    def receive(self) -> bytes | None:
        """The next message; b'' where the server is gone, None where there is no message."""
        try:
            return self.control.recv(wire.MAX_MESSAGE)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def ready(self, message: bytes) -> None:
        """Take the report that a server sends when it is up.

        Raises:
            SandboxError: the report says why it cannot be.
        """
        report = wire.unpack_json(message)
        if "error" in report:
            raise SandboxError(f"The sandbox's fork server cannot start: {report['error']}")
        self.report = report

    def start(self, execution: Execution) -> None:
        """Hand an execution over.

        Raises:
            OSError: the server is gone or does not read; the execution has not started.
        """
        try:
            request = wire.Request(wire.RUN, execution.number, execution.job.timeout)
            socket.send_fds(self.control, [request.pack()], execution.descriptors)
        finally:
            for fd in execution.descriptors:
                os.close(fd)
        self.executions[execution.number] = execution
        self.runs += 1

    def kill(self, execution: Execution) -> None:
        """Have one execution killed; its result comes as any other."""
        self.control.send(wire.Request(wire.KILL, execution.number, 0.0).pack())

    def hang_up(self) -> None:
        """Have the server and all its programs end soon; `gone` says when they have."""
        self.control.close()

    def terminate(self) -> None:
        """End a server that does not answer: its supervisor kills it and cleans up."""
        self._process.terminate()

    @property
    def gone(self) -> bool:
        """Whether the supervisor has ended, and everything below it."""
        return self._process.poll() is not None

    def forget(self) -> str:
        """Wait for the end after `hang_up`, release what is held, and return what the server wrote to stderr."""
        try:
            self._process.wait(timeout=_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self.report is not None and Path(self.report["scratch_root"]).exists():
            # The supervisor was itself killed, so what it cleans up is left to its owner.
            scratch.remove_tree(self.report["scratch_root"])
            cgroups.remove([Path(group) for group in self.report["groups"]], _SECONDS_TO_END)
        text = os.pread(self._stderr, 16_384, 0).decode("utf-8", "replace").strip()
        os.close(self._stderr)
        return text
