"""A bar that shows how far a transfer, or another long start, is; where there is no terminal it shows nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from agent0.storage.transfer_threads import ProgressCallback


@contextmanager
def transfer_bar(title: str, console: Console, unit: str = "") -> Iterator[ProgressCallback]:
    """Yield what a transfer tells its progress, in bytes or `unit`; the bar is there from the first to the last one."""
    counted = (MofNCompleteColumn(), TextColumn(unit)) if unit else (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *counted, TimeRemainingColumn())
    bars = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bars.add_task(title, total=None)
    lock = threading.Lock()

    def show(done: int, total: int) -> None:
        with lock:
            if not bars.live.is_started:
                bars.start()
            bars.update(task, completed=done, total=total)
            if done >= total:
                bars.stop()

    try:
        yield show
    finally:
        bars.stop()
