"""The sandbox: runs model-written programs, isolated by default, at the speed of fork.

`SandboxPool` is the whole of it for a stage; see `docs/sandbox.md` for the layers and what each one proves.
"""

from agent0.sandbox.pool import SandboxPool
from agent0.sandbox.result import RunResult, SandboxBusyError, SandboxError

__all__ = ["RunResult", "SandboxBusyError", "SandboxError", "SandboxPool"]
