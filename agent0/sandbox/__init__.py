"""The sandbox: runs model-written programs, isolated by default, at the speed of fork.

`open_sandbox` is the whole of it for a stage, `SandboxPool` the sandbox of one process; see `docs/sandbox.md` for the
layers and what each one proves.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent0.sandbox.result import RunResult, SandboxBusyError, SandboxError

if TYPE_CHECKING:
    from agent0.sandbox.pool import SandboxPool
    from agent0.sandbox.stage_sandbox import Sandbox, open_sandbox

__all__ = ["RunResult", "Sandbox", "SandboxBusyError", "SandboxError", "SandboxPool", "open_sandbox"]
_ROOMS = {"Sandbox": "stage_sandbox", "SandboxPool": "pool", "open_sandbox": "stage_sandbox"}


def __getattr__(name: str) -> Any:
    """Import what runs programs when it is asked for: the command line imports this package to say what it can do."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"agent0.sandbox.{_ROOMS[name]}"), name)
