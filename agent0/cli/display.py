"""The live view of a local run: finished stages as lines, the running one as a bar.

It follows the file of progress events from a thread, so the run itself knows nothing of terminals.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from agent0.progress import details, read_events

if TYPE_CHECKING:
    from agent0_kfp.pipelines.local import LocalEvolution

POLL_SECONDS = 0.1


@contextmanager
def show_progress(events: Path, total: int, *, quiet: bool, console: Console) -> Iterator[None]:
    """Show the events of `total` stages appended to `events` while the block runs; plain lines but on a terminal."""
    if quiet:
        yield
        return
    offset = events.stat().st_size if events.is_file() else 0
    stop = threading.Event()
    with _bars(console) as bars:
        view = _View(console, bars, total)
        follower = threading.Thread(target=_follow, args=(events, offset, view, stop), daemon=True)
        follower.start()
        try:
            yield
        finally:
            stop.set()
            follower.join()


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[shown]}"),
        console=console,
        transient=True,
        redirect_stdout=False,  # what the run prints belongs in its log
        redirect_stderr=False,
        disable=not console.is_terminal,
    )


class _View:
    """Turns events into lines and bars."""

    def __init__(self, console: Console, bars: Progress, total: int) -> None:
        self._console = console
        self._bars = bars
        self._all = bars.add_task("evolution", total=total, unit="stages", shown="")
        self._current: TaskID | None = None

    def show(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        name = f"iteration {event['iteration']}  {event['stage'].replace('_', ' ')}"
        if event["kind"] == "start":
            self._drop()
            self._current = self._bars.add_task(name, total=None, unit="", shown="")
        elif event["kind"] == "step" and self._current is not None:
            self._bars.update(
                self._current,
                completed=event["done"],
                total=event["total"],
                unit=event["unit"],
                shown="  ".join(details(event)),
            )
        elif event["kind"] == "note":
            self._print(f"[dim]note[/]  {name}: {event['message']}")
        elif event["kind"] == "warning":
            self._print(f"[yellow]warn[/]  {name}: {event['message']}")
        elif event["kind"] == "end":
            self._drop()
            self._bars.advance(self._all)
            self._print(f"[green]done[/]  {name:<38} {event['seconds']:6.1f} s  [dim]{event['message']}")
        elif event["kind"] == "error":
            self._drop()
            self._print(f"[red]failed[/]  {name}")

    def _print(self, line: str) -> None:
        """Print a line whole; where it is piped, whoever reads it may wrap it."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def _drop(self) -> None:
        if self._current is not None:
            self._bars.remove_task(self._current)
            self._current = None


def _follow(path: Path, offset: int, view: _View, stop: threading.Event) -> None:
    """Hand each complete line behind `offset` to the view until told to stop, and then those that are left."""
    last = False
    while not last:
        last = stop.wait(POLL_SECONDS)
        if not path.is_file():
            continue
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        offset += len(complete)
        for event in read_events(complete):
            view.show(event)


def run_on_screen(run: LocalEvolution, *, quiet: bool) -> None:
    """Run an evolution of this machine to its end with its progress on the screen, and print its table."""
    from agent0.cli.report_view import terminal_table
    from agent0.stages.open_history import read_history

    # The run sends standard output to its log, so the view writes to a copy of the descriptor.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as terminal:
        console = Console(file=terminal)
        with show_progress(run.progress_file, run.stages, quiet=quiet, console=console):
            run.run()
        console.print(terminal_table(read_history(run.folder)))
        files = f"report   {run.folder / 'report.html'}\nsummary  {run.folder / 'summary.json'}"
        console.print(f"{files}\nmlflow   agent0 ui")
