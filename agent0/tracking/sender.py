"""A thread that brings a journal to MLflow while the stage works, and its bounded end.

It sends what has gathered every few seconds, so that a training step pays for writing a line to a file and for nothing
else. A server that does not answer is asked again at growing intervals; one that refuses is not asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mlflow.tracking import MlflowClient

from agent0.errors import Agent0Error
from agent0.tracking.delivery import Delivery, RefusedError, UnreachableError
from agent0.tracking.journal import Journal

GATHER_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
CLOSING_PAUSE_SECONDS = 1.0


class Sender:
    """Sends the entries of `journal` from a thread of its own.

    Args:
        client: of the store that the journal was opened for.
        journal: has an opening.
        warn: is told once when MLflow stops answering, once when it answers again, and once when it refuses.
    """

    def __init__(self, client: MlflowClient, journal: Journal, warn: Callable[[str], None]) -> None:
        assert journal.opening is not None
        self._delivery = Delivery(client, journal.opening, warn)
        self._journal = journal
        self._warn = warn
        self._wake = threading.Event()
        self._closing = self._given_up = False
        self._failures = 0
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="agent0-tracking", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self, patience: float) -> bool:
        """Send what is left, for `patience` seconds at most; return whether everything has arrived.

        A request that hangs is left to itself: what it sends late is sent again, and arrives once.
        """
        self._closing = True
        self._wake.set()
        self._thread.join(patience)
        self._given_up = True
        if self._journal.pending and not self._thread.is_alive() and not self.trouble:
            self.trouble = "The thread that sends ended by an error, which is in the log."
        return self._journal.pending == 0

    def _run(self) -> None:
        while not (self._given_up or (self._closing and self._journal.pending == 0)):
            self._wake.wait(self._pause())
            if self._closing and self._failures:
                time.sleep(CLOSING_PAUSE_SECONDS)
            try:
                self._delivery.send(self._journal)
            except UnreachableError as error:
                if not self._failures:
                    self._warn(f"{error} What is logged waits in {self._journal.path}, and is sent when it answers.")
                self._failures += 1
                self.trouble = str(error)
            except Agent0Error as error:
                self.trouble = str(error)
                if not isinstance(error, RefusedError):
                    self.trouble = f"Tracking failed: {error}"
                self._warn(f"{self.trouble} What is logged waits in {self._journal.path}.")
                return
            else:
                if self._failures:
                    self._warn("MLflow answers again; what had waited has arrived.")
                self._failures, self.trouble = 0, ""

    def _pause(self) -> float:
        return min(GATHER_SECONDS * 2.0**self._failures, LONGEST_PAUSE_SECONDS)
