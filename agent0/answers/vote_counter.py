"""Votes counted in a process of their own, so that whoever draws the answers loses no time by it.

A vote over ten symbolic answers takes tens of milliseconds of Python beside what Math-Verify computes: enough to hold
up an event loop from any thread of its process. Here the loop writes a line and later finds a result; the child
(`agent0.answers.vote_counter_process`) counts several votes at once and has the killable workers.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType

from agent0.answers.math_verify_pool import worker_environment
from agent0.errors import Agent0Error, UsageError
from agent0.types import Vote

GRACE_SECONDS = 5.0
"""How long the process may take to end by itself when it is closed."""


class VoteCounter:
    """A process that counts votes; use it as a context manager, or `close` it. It ends with the program at the latest.

    It belongs to the process that made it, not to forked copies.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "agent0.answers.vote_counter_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=worker_environment(),
            start_new_session=True,
        )
        self._uncounted = _Uncounted()
        self._finalizer = weakref.finalize(self, _end, self._process, os.getpid())
        # The thread must not hold the counter, which would then never be forgotten.
        reader = threading.Thread(
            target=self._uncounted.read, args=(self._process,), name="agent0-vote-counter", daemon=True
        )
        reader.start()

    def __enter__(self) -> VoteCounter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def count(self, answers: Sequence[str | None]) -> Future[Vote]:
        """Begin to count a vote over `answers` (`agent0.answers.vote.vote`); the caller does not wait.

        The future raises Agent0Error where no worker starts, or where the process has ended.

        Raises:
            UsageError: `answers` is empty.
        """
        if not answers:
            raise UsageError("A vote needs at least one sample; pass None for a sample without an answer.")
        return self._uncounted.ask(self._process, answers)

    def close(self) -> None:
        """End the process; votes that are not counted fail. Idempotent."""
        self._finalizer()


class _Uncounted:
    """The votes that a process has been asked for and has not counted yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._futures: dict[int, Future[Vote]] = {}
        self._ended: Agent0Error | None = None

    def ask(self, process: subprocess.Popen[bytes], answers: Sequence[str | None]) -> Future[Vote]:
        future: Future[Vote] = Future()
        assert process.stdin is not None
        with self._lock:
            if self._ended:
                future.set_exception(self._ended)
                return future
            number = next(self._numbers)
            self._futures[number] = future
            with contextlib.suppress(BrokenPipeError):  # `read` is about to tell whoever waits
                process.stdin.write(json.dumps({"number": number, "answers": list(answers)}).encode() + b"\n")
                process.stdin.flush()
        return future

    def read(self, process: subprocess.Popen[bytes]) -> None:
        """Hand over votes until the process ends; whoever still waits then is told."""
        assert process.stdout is not None
        for line in process.stdout:
            reply = json.loads(line)
            with self._lock:
                future = self._futures.pop(reply["number"])
            if "error" in reply:
                future.set_exception(Agent0Error(reply["error"]))
            else:
                future.set_result(Vote.model_construct(**reply["vote"]))
        with self._lock:
            self._ended = Agent0Error(
                f"The process that counts votes has ended with status {process.wait()}, and some are not counted; if "
                "nobody ended it, give this machine or pod more memory."
            )
            for future in self._futures.values():
                future.set_exception(self._ended)
            self._futures.clear()


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:  # a forked copy must not end the original's process
        return
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
