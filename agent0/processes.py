"""What processes of a local run owe each other: none outlives the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal

from agent0.errors import Agent0Error

DIE_WITH_PARENT_VARIABLE = "AGENT0_DIE_WITH_PARENT"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, even by `kill -9`: an orphan would disturb a resumed run.

    Raises:
        Agent0Error: the parent has ended already.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        raise Agent0Error("The process that started this one has ended.")
