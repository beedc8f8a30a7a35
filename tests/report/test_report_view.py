"""The terminal table fits its window and shows the numbers."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from agent0.cli.report_view import history_table
from agent0.report.history import History


def printed(history: History, *, colour: bool = False, width: int = 100) -> str:
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, force_terminal=colour, color_system="standard" if colour else None)
    console.print(history_table(history))
    return buffer.getvalue()


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("iterations", [0, 3, 10])
def test_rows_are_whole_within_a_window(make_history: Callable[[int], History], iterations: int, width: int) -> None:
    lines = printed(make_history(iterations), width=width).splitlines()
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if "(" in line and "–" in line and "95" not in line]
    assert [row[0] for row in rows] == ["base", *(str(n) for n in range(1, iterations + 1))]
    assert len({len(row) for row in rows}) == 1


def test_numbers_of_an_iteration_are_in_its_row(make_history: Callable[[int], History]) -> None:
    row = next(line for line in printed(make_history(3)).splitlines() if line.strip().startswith("3 "))
    assert " ".join(row.split()) == "3 68.8 (63.0–74.7) 88 81 73 65 57 49 0.86 49.0 82/160 79.5"


def test_colour_marks_only_intervals_apart_from_the_base_model(
    make_history: Callable[[int], History],
) -> None:
    lines = printed(make_history(3), colour=True).splitlines()
    final = next(line for line in lines if "68.8" in line)
    assert "\x1b[1;32m68.8" in final
    assert "\x1b[1;32m 88" not in final
    assert "\x1b[1;32m" not in next(line for line in lines if "45.5" in line)


def test_a_bracketed_recipe_name_is_no_markup(make_history: Callable[[int], History]) -> None:
    history = make_history(1).model_copy(update={"recipe": "[red]mine[/red]"})
    assert "[red]mine[/red]" in printed(history)
