"""Runs a command so that nothing of it is left when it ends, or when the process that asked for it does.

For servers that start processes of their own: `python -m agent0.process_guard PARENT GRACE COMMAND...`. Orphans of the
command become children of this guard (a Linux subreaper), which kills and reaps them. Imports nothing but the standard
library, since one guard sits beside each server.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_REAP_SECONDS = 5.0


def command_line(grace_seconds: float, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` under a guard of this process.

    SIGTERM to the guard ends the command by SIGTERM, and by SIGKILL after `grace_seconds`; so does this process's end.
    The guard exits as the command did, with 128 + signal where a signal ended it.
    """
    return [sys.executable, "-m", __name__, str(os.getpid()), str(grace_seconds), *command]


def guard(parent: int, grace_seconds: float, command: Sequence[str]) -> int:
    """Run `command` until it ends; return its exit status."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    own = os.getpid()

    def die_with_guard() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != own:
            os._exit(1)

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_guard)

    def end(_: int, __: FrameType | None) -> None:
        child.terminate()
        killer = threading.Timer(grace_seconds, _kill_group, [child.pid])
        killer.daemon = True
        killer.start()

    signal.signal(signal.SIGTERM, end)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        child.terminate()
    status = child.wait()
    _kill_group(child.pid)
    _reap()
    return status if status >= 0 else 128 - status


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _reap() -> None:
    """Collect orphans of the command, for a while: one that left its group may live on."""
    deadline = time.monotonic() + _REAP_SECONDS
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
