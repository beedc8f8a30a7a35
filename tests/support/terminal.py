"""A command on a terminal of 80 columns, as a person has it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys


def on_a_terminal(*command: str, exit_code: int = 0, **environment: str) -> str:
    """Run Python with arguments on a terminal, and return what it writes there."""
    near, far = pty.openpty()
    names = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env = {**names, "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color", **environment}
    process = subprocess.Popen([sys.executable, *command], stdout=far, stderr=far, env=env)
    os.close(far)
    written = b""
    while True:
        try:
            data = os.read(near, 65_536)
        except OSError:  # the other end was closed
            break
        if not data:
            break
        written += data
    os.close(near)
    assert process.wait() == exit_code, written
    return written.decode()
