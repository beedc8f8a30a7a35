"""What commands show while they work: bars on a terminal, and elsewhere a line for each of them now and then."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from agent0.progress import PRINT_INTERVAL, Shown, time_left

if TYPE_CHECKING:
    from agent0.storage.transfer_threads import ProgressCallback

BAR_COLUMNS = 100  # a window that is narrower has no room for bars beside their numbers


class Bars:
    """Bars by name, with lines above them; a context manager that takes the bars away.

    Args:
        console: where they are drawn.
        quiet: show warnings only.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *([BarColumn(bar_width=24)] if console.width >= BAR_COLUMNS else []),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", "dim", markup=False, table_column=Column(no_wrap=True, ratio=1)),
            console=console,
            transient=True,
            expand=True,
            redirect_stdout=False,  # what the command's own work prints belongs where that sends it
            redirect_stderr=False,
            disable=quiet or not console.is_interactive,
        )
        self._bars: dict[tuple[str, str], TaskID] = {}
        self._told: dict[tuple[str, str], float] = {}
        self._ever: set[tuple[str, str]] = set()
        self._lock = threading.RLock()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(
        self,
        name: str,
        done: int,
        total: int | None,
        unit: str = "",
        detail: str = "",
        *,
        count: str = "",
        lines: bool = True,
    ) -> None:
        """Show how far something is.

        Args:
            name: of the bar, which is there from now on.
            done: units that are done.
            total: units of the whole; None if that is not known.
            unit: what is counted, in the plural; a name has a bar for each.
            detail: what else to say.
            count: both numbers in words, where they are not to be read as they are.
            lines: whether to say it in lines where there is no terminal.
        """
        shown = count or ("" if total is None else f"{done:,}/{total:,} {unit}".rstrip())
        key, now = (name, unit), time.monotonic()
        with self._lock:
            if key not in self._bars:
                self._bars[key] = self._progress.add_task(name, total=total, count="", detail="")
                self._progress.start()
            self._progress.update(self._bars[key], completed=done, total=total, count=shown, detail=detail)
            if lines and not self._console.is_interactive and self._is_due(key, now, ended=done == total):
                self._print(f"{name}: {shown}  {detail}".rstrip())

    def drop(self, name: str) -> None:
        """Take the bars of a name away."""
        with self._lock:
            for key in [key for key in self._bars if key[0] == name]:
                self._progress.remove_task(self._bars.pop(key))
            if not self._bars:
                self._progress.stop()

    def say(self, word: str, style: str, line: str) -> None:
        """Print a line above the bars; its first word has a colour of its own."""
        self._print(Text.assemble((f"{word:<6}", style), "  ", line))

    def warn(self, name: str, message: str) -> None:
        """Print a warning, also where nothing else is shown."""
        self._console.print(f"{name}: warning: {message}", soft_wrap=True)

    def of(self, name: str) -> Shown:
        """Return what shows the work of that name."""
        return _Bar(self, name)

    def transfer(self, name: str, unit: str = "") -> ProgressCallback:
        """Return what shows a transfer in bytes, or other work in `unit`, from its first call to its last."""
        began: list[float] = []

        def show(done: int, total: int) -> None:
            if not began:
                began.append(time.monotonic())
            seconds = time.monotonic() - began[0]
            left = time_left(done, total, seconds)
            if unit:
                self.show(name, done, total, unit, left)
            else:
                rate = f"{decimal(round(done / seconds))}/s" if seconds else ""
                detail = ", ".join(filter(None, (rate, left)))
                self.show(name, done, total, detail=detail, count=f"{decimal(done)}/{decimal(total)}")
            if done >= total:
                self.drop(name)

        return show

    def _is_due(self, key: tuple[str, str], now: float, *, ended: bool) -> bool:
        """Whether a line is due: one in an interval, and the end of what is over before the first one."""
        told = self._told.setdefault(key, now)
        if now - told < PRINT_INTERVAL and not (ended and key not in self._ever):
            return False
        self._told[key] = now
        self._ever.add(key)
        return True

    def _print(self, line: str | Text) -> None:
        """Print a line whole; a terminal may wrap it."""
        if not self._quiet:
            self._console.print(line, soft_wrap=True)


@dataclass(frozen=True)
class _Bar:
    """One name's share of the bars; see `agent0.progress.Shown`."""

    bars: Bars
    name: str

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        self.bars.show(self.name, done, total, unit, detail)

    def warn(self, message: str) -> None:
        self.bars.warn(self.name, message)
