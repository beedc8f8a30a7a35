"""Processes that can be killed, each running `agent0.answers.math_verify_worker`, behind a bounded set of threads.

Plain pipes and `subprocess` rather than `multiprocessing` (or pebble, which rests on it): a worker then never
imports the caller's main module, which may be a training script without a `__main__` guard.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agent0.answers.verdict import Verdict
from agent0.errors import Agent0Error
from agent0.extras import installing

START_SECONDS = 120.0


def worker_environment() -> dict[str, str]:
    """Return the environment of a child that imports this very package, and computes on one core."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


class Worker:
    """One process, asked one question at a time; owned by one thread at a time."""

    def __init__(self, memory_mb: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "agent0.answers.math_verify_worker", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=worker_environment(),
            bufsize=0,
            start_new_session=True,
        )
        self._received = b""
        self._serving: int | None = None
        self._asked = 0

    def ask(self, gold: str, answer: str, seconds: float) -> Verdict:
        """Compare one pair within `seconds` of wall-clock time.

        Raises:
            Agent0Error: the worker does not start.
        """
        if self._serving is None:
            self._await_ready()
        self._asked += 1
        request = {"number": self._asked, "gold": gold, "answer": answer, "seconds": seconds}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            self._serving = None
            return Verdict.ERROR
        deadline = time.monotonic() + seconds
        reply = self._read_message(deadline)
        while reply and "verdict" in reply and reply["number"] != self._asked:
            reply = self._read_message(deadline)  # a late answer to what was given up before
        if reply is None:
            self._kill_serving()
            return Verdict.TIMEOUT
        if "verdict" not in reply:  # it died, of memory or CPU, and the next one, if any, has reported ready
            self._serving = reply.get("ready")
            return Verdict.ERROR
        return {True: Verdict.TRUE, False: Verdict.FALSE, None: Verdict.ERROR}[reply["verdict"]]

    @property
    def alive(self) -> bool:
        """Whether the process can still be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """Kill the process and the one that serves for it; idempotent."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        message = self._read_message(deadline)
        while message and "ready" not in message:
            message = self._read_message(deadline)  # the answer that came just too late
        if not message:
            raise Agent0Error(
                "The Math-Verify worker does not start; run `python -m agent0.answers.math_verify_worker 1024` to see "
                f"why; where Math-Verify is not installed, {installing('train')} brings it."
            )
        self._serving = message["ready"]

    def _kill_serving(self) -> None:
        if self._serving is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._serving, signal.SIGKILL)
        self._serving = None

    def _read_message(self, deadline: float) -> dict[str, Any] | None:
        """Return the next message, an empty one at the end of the stream, or None at the deadline."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while True:
            while b"\n" in self._received:
                line, _, self._received = self._received.partition(b"\n")
                message = _parse(line)
                if message is not None:
                    return message
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not poll.poll(remaining * 1000):
                return None
            data = os.read(descriptor, 65_536)
            if not data:
                return {}
            self._received += data


class WorkerPool:
    """A fixed number of workers, started at the first pair; `close` or the end of the program ends them."""

    def __init__(self, workers: int, seconds: float, memory_mb: int) -> None:
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="answers")
        self._finalizer = weakref.finalize(self, _shut_down, self._threads, self._idle, os.getpid())

    def submit(self, gold: str, answer: str) -> Future[Verdict]:
        """Compare one pair in a worker; the future never raises for what is in the pair."""
        return self._threads.submit(self._compare, gold, answer)

    def close(self) -> None:
        """Cancel the pairs that have not begun, wait for those that have, end all processes; idempotent."""
        self._finalizer()

    def _compare(self, gold: str, answer: str) -> Verdict:
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = Worker(self._memory_mb)
        try:
            verdict = worker.ask(gold, answer, self._seconds)
        except BaseException:
            worker.close()
            raise
        if worker.alive:
            self._idle.put(worker)
        else:
            worker.close()
        return verdict


def _shut_down(threads: ThreadPoolExecutor, idle: queue.LifoQueue[Worker], owner: int) -> None:
    if os.getpid() != owner:  # a forked copy must not end the original's processes
        return
    threads.shutdown(wait=True, cancel_futures=True)
    while True:
        try:
            idle.get_nowait().close()
        except queue.Empty:
            return


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the message in a line; None for an empty line or what a killed process left half written."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
