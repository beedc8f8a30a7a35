"""The request and response of SandboxFusion's `/run_code`, so that its clients can point here unchanged.

Only Python, and no files in or out; the memory limit is the pool's own.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from agent0.errors import UsageError
from agent0.sandbox.result import RunResult

_RUN_STATUS = {"timeout": "TimeLimitExceeded", "memory": "Error", "output_limit": "Error", "killed": "Error"}


class RunCodeRequest(BaseModel):
    """Body of `POST /run_code`; unknown fields are ignored, as SandboxFusion does."""

    code: str
    language: str = "python"
    stdin: str | None = None
    run_timeout: float = 10.0
    files: dict[str, str | None] = {}
    fetch_files: list[str] = []


def check(request: RunCodeRequest) -> None:
    """Refuse what the sandbox cannot do.

    Raises:
        UsageError: another language than Python, or files.
    """
    if request.language != "python":
        raise UsageError(f"This sandbox runs language 'python', not {request.language!r}.")
    if request.files or request.fetch_files:
        raise UsageError("This sandbox takes no files; write them from the program and print what is wanted back.")


def response(result: RunResult) -> dict[str, Any]:
    """A result in SandboxFusion's words."""
    return {
        "status": "Success" if result.ok else "Failed",
        "message": "",
        "compile_result": None,
        "run_result": {
            "status": _RUN_STATUS.get(result.status, "Finished"),
            "execution_time": result.wall_seconds,
            "return_code": result.exit_code,
            "stdout": result.stdout,
            "stderr": result.stderr,
        },
        "executor_pod_name": None,
        "files": {},
    }
