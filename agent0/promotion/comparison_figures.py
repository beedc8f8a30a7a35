"""The figures of the comparison: scores with intervals beside the paper's, and scores over time.

Drawn in the house style of `agent0.report`; nothing is smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from matplotlib.axes import Axes

from agent0.evaluation.results import Estimate
from agent0.promotion.claims import Run, benchmarks_of, title
from agent0.promotion.paper import ReferenceRow
from agent0.report import figure_style as style
from agent0.report.panels import Lane, Look, forest, legend, legend_height, points, row_height

_COLUMNS = 3
_PANEL = 190


def scores_figure(runs: Sequence[Run], rows: Sequence[ReferenceRow]) -> str:
    """Each benchmark as a band of points with 95 % intervals: our runs filled, the paper's rows hollow."""
    found = benchmarks_of(runs)
    names = [title(name) for name in found]
    lanes = []
    for run in runs:
        look = Look(run.report.name, style.EXECUTOR if run is runs[-1] else style.MUTED)
        lanes.append(Lane(look, {title(name): _estimate(run, name) for name in found}, names))
    for row in rows:
        colour = style.CURRICULUM if row.method.startswith("Agent0") else style.MUTED
        look = Look(f"paper: {row.method}, {row.base}", colour, "D", filled=False)
        lanes.append(Lane(look, {title(name): row.interval(name) for name in found}, ()))
    top, height = legend_height(len(lanes)) + 8, row_height(len(lanes)) * len(names)
    with style.house_style("scores"):
        figure = style.canvas(style.FULL_WIDTH, top + height + 28)
        axes = style.place(figure, 128, top, style.FULL_WIDTH - 150, height)
        forest(axes, names, lanes)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(style.percent_label)
        legend(figure, [lane.look for lane in lanes])
        return style.to_svg(figure, "scores", "Scores with 95 % intervals: " + _spoken(runs))


def history_figure(runs: Sequence[Run]) -> str | None:
    """Each benchmark's score over time with intervals, of runs in one setting; None for fewer than two times."""
    times = {run.report.finished_at for run in runs}
    names = [name for name in benchmarks_of(runs) if sum(_estimate(run, name) is not None for run in runs) > 1]
    if len(times) < 2 or not names:
        return None
    rows = math.ceil(len(names) / _COLUMNS)
    with style.house_style("history"):
        figure = style.canvas(style.FULL_WIDTH, 10 + _PANEL * rows)
        width = style.FULL_WIDTH / _COLUMNS
        for index, name in enumerate(names):
            row, column = divmod(index, _COLUMNS)
            axes = style.place(figure, 52 + column * width, 34 + row * _PANEL, width - 76, _PANEL - 76)
            _over_time(axes, {run.report.finished_at: e for run in runs if (e := _estimate(run, name))})
            axes.set_title(title(name))
        return style.to_svg(figure, "history", "Scores over time: " + _spoken(runs))


def _over_time(axes: Axes, values: Mapping[float, Estimate]) -> None:
    points(axes, values, Look("", style.EXECUTOR))
    low, high = min(e.low for e in values.values()), max(e.high for e in values.values())
    room = max(0.02, 0.15 * (high - low))
    axes.set_ylim(max(0.0, low - room), min(1.0, high + room))
    first, last = min(values), max(values)
    margin = 0.08 * (last - first) or 1.0
    axes.set_xlim(first - margin, last + margin)
    axes.set_xticks([first, last], [_day(first), _day(last)])
    axes.yaxis.set_major_formatter(style.percent_label)
    axes.locator_params(axis="y", nbins=4)


def _estimate(run: Run, name: str) -> Estimate | None:
    score = run.report.score_of(name)
    return None if score is None else score.score


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _spoken(runs: Sequence[Run]) -> str:
    return "; ".join(
        f"{run.report.name}: "
        + ", ".join(f"{title(s.benchmark)} {100 * s.score.mean:.1f}" for s in run.report.benchmarks)
        for run in runs
    )
