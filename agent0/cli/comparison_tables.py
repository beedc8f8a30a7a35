"""The comparison as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent0.promotion import claims
from agent0.promotion.claims import Against, Relation, Run
from agent0.promotion.paper import JUDGED_BY, ReferenceRow

_STYLES: dict[Relation, str] = {"above": "bold green", "below": "bold red", "overlap": "", "none": "dim"}
_SHOWN = ("base", "Agent0 iteration 3")


def comparison_view(runs: Sequence[Run], pairs: Sequence[Against], base: str | None = None) -> RenderableType:
    """Return the table and what may be claimed; a figure of the paper is green where the newest run is above it.

    Raises:
        UsageError: the paper has no such base model.
    """
    rows = [row for row in claims.references(runs, base) if row.method in _SHOWN]
    newest = runs[-1]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=Text("score, %", style="bold"), title_justify="left")
    table.add_column("benchmark", no_wrap=True)
    for run in runs:
        table.add_column(Text(f"{run.report.name}\n{run.setting}"), justify="right")
    for row in rows:
        table.add_column(Text(f"paper: {row.method}\n{row.base}"), justify="right")
    table.add_column("the paper's way")
    for name in claims.benchmarks_of(runs):
        ours = [_ours(run, name) for run in runs]
        theirs = [_theirs(newest, name, row) for row in rows]
        table.add_row(Text(claims.title(name)), *ours, *theirs, Text(JUDGED_BY.get(name, "–"), style="dim"))
    found = [claims.paper_finding(newest, row) for row in rows] + list(map(claims.pair_finding, pairs))
    return Group(table, *map(Text, found))


def _ours(run: Run, name: str) -> Text:
    score = run.report.score_of(name)
    if score is None:
        return Text("–", style="dim")
    interval = score.score
    return Text(f"{100 * interval.mean:.1f} ({100 * interval.low:.1f}–{100 * interval.high:.1f})")


def _theirs(run: Run, name: str, row: ReferenceRow) -> Text:
    interval = row.interval(name)
    if interval is None:
        return Text("–", style="dim")
    return Text(row.printed(name), style=_STYLES[claims.against_paper(run, run.report.score_of(name), row)])
