"""What processes of a local run owe each other: none outlives the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

from agent0.errors import Agent0Error

DIE_WITH_PARENT_VARIABLE = "AGENT0_DIE_WITH_PARENT"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, even by `kill -9`: an orphan would disturb a resumed run.

    Raises:
        Agent0Error: the parent has ended already.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if _is_orphan():
        raise Agent0Error("The process that started this one has ended.")


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
