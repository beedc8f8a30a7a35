"""What `agent0 evaluate` shows while it draws: a bar for each benchmark, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from agent0.progress import PRINT_INTERVAL, Drawing

if TYPE_CHECKING:
    from agent0.evaluation.preparation import Assignment
    from agent0.evaluation.sample_store import SampleStore
    from agent0.rollout.watch import Watch


@contextmanager
def watching(
    assignments: Sequence[Assignment], stores: Mapping[str, SampleStore], console: Console, *, quiet: bool
) -> Iterator[Callable[[Assignment], Watch]]:
    """Yield a function that gives the watch of a benchmark's samples; with `quiet` they show warnings only."""

    def drawing(assignment: Assignment, shown: _Lines | _Bar) -> Drawing:
        return Drawing(shown, assignment.total, "samples", len(stores[assignment.benchmark.name].records))

    if quiet or not console.is_terminal:
        yield lambda assignment: drawing(assignment, _Lines(console, assignment.benchmark.name, quiet=quiet))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, TimeRemainingColumn(), TextColumn("[dim]{task.fields[detail]}"), console=console) as bars:
        tasks = {
            name: bars.add_task(name, total=a.total, completed=len(stores[name].records), detail="")
            for a in assignments
            for name in [a.benchmark.name]
        }
        yield lambda assignment: drawing(assignment, _Bar(bars, tasks[assignment.benchmark.name]))


class _Bar:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        self._bars.update(self._task, completed=done, detail=detail)

    def warn(self, message: str) -> None:
        self._bars.console.print(f"warning: {message}", highlight=False, markup=False)


class _Lines:
    def __init__(self, console: Console, name: str, *, quiet: bool) -> None:
        self._console = console
        self._name = name
        self._quiet = quiet
        self._last = time.monotonic()

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        now = time.monotonic()
        if self._quiet or (done < total and now - self._last < PRINT_INTERVAL):
            return
        self._last = now
        self._print(f"{self._name}: {done:,}/{total:,} {unit}  {detail}")

    def warn(self, message: str) -> None:
        self._print(f"{self._name}: warning: {message}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
