"""What commands print with: one console, and one kind of table.

A table goes by the width that it is given: first its cells are wrapped between words, then the columns that can be
spared are left out and named below, then long words are cut, and at last each row stands as lines of its own. Where
output is piped there is no width to keep to: every value is whole, and a row is a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

PIPED_WIDTH = 1 << 20
LONGEST_WORD, LONGEST_PIECE = 40, 16  # what is longer may be cut; the second where there is no other way
GAP = 2  # blanks between columns
ABSENT = Text("–", style="dim")
STYLES = {"above": "bold green", "below": "bold red", "overlap": "", "none": ""}
"""How a figure looks by where its interval lies."""


def console(*, stderr: bool = False, file: TextIO | None = None) -> Console:
    """Return what prints text as it is, in colours on a terminal unless NO_COLOR is set.

    A pipe has the width that COLUMNS says, and else none.
    """
    target = file or (sys.stderr if stderr else sys.stdout)
    made = Console(file=target, highlight=False, markup=False)
    if not target.isatty():
        made.is_interactive = False
        if "COLUMNS" not in os.environ:
            made.width = PIPED_WIDTH
    return made


def show_json(value: object) -> None:
    """Print what a script reads."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


class Table:
    """Rows under named columns, printed with rich; no cell is read as markup.

    Args:
        columns: their names; the first is never wrapped.
        right: those that stand on the right; they are never wrapped.
        spare: those that are left out where there is no room, the first of them first.
        title: above the table.
        notes: sentences below it.
        empty: what is said where there are no rows.
    """

    def __init__(
        self,
        *columns: str,
        right: Collection[str] = (),
        spare: Sequence[str] = (),
        title: str = "",
        notes: Sequence[str] = (),
        empty: str = "There are none.",
    ) -> None:
        self.columns, self.notes, self._empty = columns, notes, empty
        self.rows: list[tuple[Text, ...]] = []
        self._right, self._spare, self._title = right, spare, title

    def add(self, *cells: str | Text) -> None:
        """Add a row, a cell for each column."""
        row = tuple(cell if isinstance(cell, Text) else Text(cell) for cell in cells)
        self.rows.append(tuple(cell for _, cell in zip(self.columns, row, strict=True)))

    def show(self, *, as_json: bool = False) -> None:
        """Print the table, or a JSON list of objects by column."""
        if as_json:
            show_json(self.records())
        else:
            console().print(self)

    def records(self) -> list[dict[str, str]]:
        """Return the rows as they are printed, by column."""
        return [dict(zip(self.columns, map(str, row), strict=True)) for row in self.rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        if self._title:
            yield Text(self._title, style="bold")
        yield from self._laid_out(console, options.max_width) if self.rows else [Text(self._empty)]
        yield from map(Text, self.notes)

    def _laid_out(self, console: Console, room: int) -> Iterator[Text]:
        piped = room >= PIPED_WIDTH
        heads = tuple(Text(name, style="bold") for name in self.columns)
        rows = [heads, *([Text("  ").join(cell.split("\n")) for cell in row] if piped else row for row in self.rows)]
        kept, spare, longest = list(range(len(self.columns))), list(self._spare), LONGEST_WORD
        while (widths := self._widths(rows, kept, room, longest)) is None and longest == LONGEST_WORD:
            if spare:
                kept.remove(self.columns.index(spare.pop(0)))
            else:
                longest = LONGEST_PIECE
        if widths is None:
            yield from self._records()
            return
        for number, row in enumerate(rows):
            yield from self._line(console, row, widths)
            if number == 0 and not piped:
                yield Text("─" * (sum(widths.values()) + GAP * (len(widths) - 1)), style="dim")
        if absent := [name for index, name in enumerate(self.columns) if index not in widths]:
            yield Text(f"There is no room for {', '.join(absent)}; a wider window or a pipe shows all.", style="dim")

    def _widths(
        self, rows: Sequence[Sequence[Text]], kept: Sequence[int], room: int, longest: int
    ) -> dict[int, int] | None:
        """Return the width of each column that is kept, or None where there is no room for words up to `longest`."""
        widths, least = {}, {}
        for column in kept:
            lines = [line for row in rows for line in row[column].plain.split("\n")]
            widths[column] = least[column] = max(map(cell_len, lines))
            if column and self.columns[column] not in self._right:
                words = [min(longest, cell_len(word)) for line in lines for word in line.split()]
                least[column] = min(widths[column], max(words, default=0))
        room -= GAP * (len(kept) - 1)
        if sum(least.values()) > room:
            return None
        while sum(widths.values()) > room:
            widths[max((c for c in kept if widths[c] > least[c]), key=widths.__getitem__)] -= 1
        return widths

    def _line(self, console: Console, row: Sequence[Text], widths: dict[int, int]) -> Iterator[Text]:
        """Yield a row as lines of text, without blanks at their ends."""
        wrapped = {c: row[c].wrap(console, width, overflow="fold") for c, width in widths.items()}
        for height in range(max(map(len, wrapped.values()))):
            pieces = []
            for column, lines in wrapped.items():
                piece = lines[height] if height < len(lines) else Text()
                piece.rstrip()
                piece.align("right" if self.columns[column] in self._right else "left", widths[column])
                pieces.append(piece)
            line = Text(" " * GAP).join(pieces)
            line.rstrip()
            yield line

    def _records(self) -> Iterator[Text]:
        """Yield each row as lines, a name and a value each where there is one, with an empty line between rows."""
        width = max(map(cell_len, self.columns))
        for index, row in enumerate(self.rows):
            if index:
                yield Text()
            for name, cell in ((n, c) for n, c in zip(self.columns, row, strict=True) if c.plain):
                yield Text.assemble((f"{name:<{width}}", "bold"), " " * GAP, cell)
