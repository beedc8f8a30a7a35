"""A sign of life from the pod that waits for a job on several nodes: without it, the nodes save and end.

A pod that is killed cannot always delete its TrainJob. Ages are told by the file server's clock alone: both the
heartbeat and the file that it is compared with are touched, never given a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent0.training.training_job import STOP_FILE

HEARTBEAT_FILE = "heartbeat"
CLOCK_FILE = "clock"
PATIENCE_SECONDS = 1200.0
"""Long enough for a preempted pod to be started again, or for one that waits for the cluster or a tracking server."""
LOOK_SECONDS = 30.0


def beat(folder: Path) -> None:
    """Show in a job's folder that somebody waits for the job."""
    (folder / HEARTBEAT_FILE).touch()


def left_alone(folder: Path) -> bool:
    """Whether who waited for the job has given no sign for too long; never where nobody ever did."""
    clock = folder / CLOCK_FILE
    try:
        last = (folder / HEARTBEAT_FILE).stat().st_mtime
        clock.touch()
        return clock.stat().st_mtime - last > PATIENCE_SECONDS
    except OSError:  # no heartbeat, or a file server that is away: no sign that anybody left
        return False


@contextmanager
def stop_when_left_alone(folder: Path) -> Iterator[None]:
    """Ask for a stop, as SIGTERM does, once the job is left alone; look for the length of the block."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            if left_alone(folder):
                (folder / STOP_FILE).touch()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
