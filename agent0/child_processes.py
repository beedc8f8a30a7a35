"""What processes of a local run owe each other: none outlives the one that started it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
from pathlib import Path

from agent0.errors import Agent0Error

RUN_VARIABLE = "AGENT0_RUN_PROCESS"
"""Environment variable with the id of the process that a local run is."""
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, even by `kill -9`: an orphan would disturb a resumed run.

    Raises:
        Agent0Error: the parent has ended already.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if _is_orphan():
        raise Agent0Error("The process that started this one has ended.")


def die_with(pid: int) -> None:
    """Kill this process when process `pid` ends, even by `kill -9`, whatever shells lie between the two.

    Raises:
        Agent0Error: it has ended already.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise Agent0Error("The process that started this one has ended.") from error
    threading.Thread(target=_follow, args=(process,), daemon=True).start()


def _follow(process: int) -> None:
    """Wait for the end of a process, given by its descriptor, and end too."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def _is_orphan() -> bool:
    """Whether the parent is the system's first process and did not start this one, as a container's command may have.

    Such a command is this interpreter too; where it ends, the container ends with it.
    """
    if os.getppid() != 1:
        return False
    try:
        return Path("/proc/1/exe").readlink() != Path("/proc/self/exe").readlink()
    except PermissionError:  # another user's
        return True
