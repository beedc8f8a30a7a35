"""The history of an evolution as a table for a terminal of 100 columns.

One row per iteration. An accuracy is green or red where its 95 % interval does not overlap the base
model's, and plain where it does. Texts and curves are left to the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from agent0.report import wording
from agent0.report.comparison import Gap, Run, finding, gap
from agent0.report.history import History, Score

STYLES: dict[wording.Order, str] = {"above": "bold green", "below": "bold red", "overlap": "", "unknown": ""}
ABSENT = Text("–", style="dim")


def terminal_table(history: History) -> Table:
    """The table, to be printed with rich; accuracies and shares in percent.

    'calls' are tool calls per held-out question, '1st exec.' is the first executor's pass rate on the
    proposals, 'labels' the share of pseudo-labels in the band that are true.

    Raises:
        Agent0Error: the history lacks the base model's record or repeats an iteration.
    """
    records, names = wording.ordered_iterations(history), wording.level_names(history)
    base = records[0].executor
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=Text(f"{history.title}, seed {history.seed}: executor accuracy, %", style="bold"),
        title_justify="left",
        caption=Text(wording.headline(history)),
        caption_justify="left",
    )
    table.add_column("iter", no_wrap=True)
    table.add_column("all (95 %)", justify="right", no_wrap=True)
    for name in names:
        table.add_column(Text(name), justify="right")
    for title in ("calls", "1st exec.", "kept", "labels"):
        table.add_column(title, justify="right")
    measured = dict(wording.rounds(history))
    for number, executor in wording.scored(history).items():
        proposals = measured.get(number)
        row = [Text(wording.name_of(history, number)), _overall(executor, base)]
        row += [_level(executor.levels.get(name), base.levels.get(name)) for name in names]
        row.append(Text(f"{executor.tool_calls:.2f}"))
        if proposals is None:
            row += [ABSENT] * 3
        else:
            row += [
                _share(proposals.first_executor_pass_rate),
                Text(f"{proposals.kept}/{proposals.generated}"),
                _share(proposals.label_accuracy),
            ]
        table.add_row(*row)
    return table


def comparison_table(runs: Sequence[Run]) -> Table:
    """Several evolutions after their last iterations, each beside the first and beside what it began with; percent."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=Text("Executor accuracy, % (95 %)", style="bold"),
        title_justify="left",
        caption=Text("\n".join(finding(runs[0], run) for run in runs[1:])),
        caption_justify="left",
    )
    table.add_column("run", overflow="fold")
    for column in ("iter", "n", "start", "last", "beside the first", "beside its start"):
        table.add_column(column, justify="right")
    for run in runs:
        last = run.last.executor
        table.add_row(
            Text(run.name),
            Text(wording.name_of(run.history, run.last.iteration)),
            Text(str(last.n)),
            _overall(run.base, run.base),
            _overall(last, run.base),
            ABSENT if run is runs[0] else _gap(gap(runs[0].last.executor, last)),
            ABSENT if run.last.iteration == 0 else _gap(gap(run.base, last)),
        )
    return table


def _gap(found: Gap) -> Text:
    text = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return Text(text, style=STYLES[found.order])


def _overall(score: Score, base: Score) -> Text:
    text = f"{100 * score.accuracy:.1f} ({100 * score.ci_low:.1f}–{100 * score.ci_high:.1f})"
    return Text(text, style=STYLES[wording.compare(base, score)])


def _level(score: Score | None, base: Score | None) -> Text:
    if score is None:
        return ABSENT
    style = "" if base is None else STYLES[wording.compare(base, score)]
    return Text(f"{100 * score.accuracy:.0f}", style=style)


def _share(value: float | None) -> Text:
    return ABSENT if value is None else Text(f"{100 * value:.1f}")
