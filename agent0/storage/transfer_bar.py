"""A bar that shows how far a transfer is, for commands; where there is no terminal it shows nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from agent0.storage.crew import ProgressCallback


@contextmanager
def transfer_bar(title: str, console: Console) -> Iterator[ProgressCallback]:
    """Yield what a transfer tells its progress; the bar is there from the first byte to the last one."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bars = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
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
