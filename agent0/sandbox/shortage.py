"""A time in which the owner of a pool has too few descriptors, processes or memory to hand on a program."""

from __future__ import annotations

import time

from agent0.sandbox.result import SandboxError

_PATIENCE_SECONDS = 30.0


class Shortage:
    """Begins with the first failure and is over with the first success; programs wait for its end, but not for ever."""

    def __init__(self) -> None:
        self._since: float | None = None
        self.error = SandboxError("The sandbox is short of nothing.")

    def note(self, error: BaseException) -> None:
        """Something could not be made because of `error`."""
        if self._since is None:
            self._since = time.monotonic()
        self.error = SandboxError(
            f"The sandbox could not hand on a program: {error}. Its owner may have too few file descriptors, processes "
            "or memory; raise its limits (ulimit -n, ulimit -u), or run fewer programs at once."
        )

    def over(self) -> None:
        """Something could be made."""
        self._since = None

    @property
    def lasts(self) -> bool:
        """Whether it has gone on for so long that those who wait must be told."""
        return self._since is not None and time.monotonic() > self._since + _PATIENCE_SECONDS
