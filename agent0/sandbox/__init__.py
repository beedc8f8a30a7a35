"""The sandbox: runs model-written programs, isolated by default, at the speed of fork.

`SandboxPool` is the whole of it for a stage; see `docs/sandbox.md` for the layers and what each one proves.
"""

from typing import TYPE_CHECKING, Any

from agent0.sandbox.result import RunResult, SandboxBusyError, SandboxError

if TYPE_CHECKING:
    from agent0.sandbox.pool import SandboxPool

__all__ = ["RunResult", "SandboxBusyError", "SandboxError", "SandboxPool"]


def __getattr__(name: str) -> Any:
    """Import the pool when it is asked for: the command line imports this package to say what it can do."""
    if name != "SandboxPool":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agent0.sandbox.pool import SandboxPool

    return SandboxPool
