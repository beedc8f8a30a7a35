"""The figures of the comparison: scores with intervals beside the paper's, and scores over time.

Drawn in the house style of `agent0.report`; nothing is smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from agent0.evaluation.results import Estimate
from agent0.promotion.claims import Run, benchmarks_of, title
from agent0.promotion.paper import ReferenceRow
from agent0.report import figure_style as style

_ROW, _LANE = 30, 9
_COLUMNS = 3
_PANEL = 190


def scores_figure(runs: Sequence[Run], rows: Sequence[ReferenceRow]) -> str:
    """Each benchmark as a band of points with 95 % intervals: our runs filled, the paper's rows hollow."""
    names = benchmarks_of(runs)
    lanes = len(runs) + len(rows)
    band = max(_ROW, _LANE * lanes + 14)
    legend = 26 * math.ceil(lanes / 3)
    height = legend + 34 + band * len(names)
    with style.house_style("scores"):
        figure = style.canvas(style.FULL_WIDTH, height)
        axes = style.place(figure, 116, legend + 6, style.FULL_WIDTH - 140, band * len(names))
        for number, run in enumerate(runs):
            colour = style.EXECUTOR if run is runs[-1] else style.MUTED
            estimates = {name: _estimate(run, name) for name in names}
            _lane(axes, names, estimates, number, lanes, colour, run.report.name, filled=True)
        for number, row in enumerate(rows, start=len(runs)):
            intervals = {name: row.interval(name) for name in names}
            found = {n: Estimate.of(i) if i else None for n, i in intervals.items()}
            label = f"paper: {row.method}, {row.base}"
            colour = style.CURRICULUM if row.method.startswith("Agent0") else style.MUTED
            _lane(axes, names, found, number, lanes, colour, label, filled=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), [title(name) for name in names])
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}\u00a0%"))
        axes.grid(axis="x", visible=True)
        axes.grid(axis="y", visible=False)
        for border in range(1, len(names)):
            axes.axhline(border - 0.5, color=style.GRID, linewidth=1)
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.13, 1.0), columnspacing=1.4, handletextpad=0.4)
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
            _over_time(axes, name, [(run.report.finished_at, e) for run in runs if (e := _estimate(run, name))])
        return style.to_svg(figure, "history", "Scores over time: " + _spoken(runs))


def _lane(
    axes: Axes,
    names: Sequence[str],
    estimates: dict[str, Estimate | None],
    lane: int,
    lanes: int,
    colour: str,
    label: str,
    *,
    filled: bool,
) -> None:
    """One run or row in every band, at its own height within the band."""
    offset = ((lane + 0.5) / lanes - 0.5) * 0.78
    places = [(number + offset, estimates[name]) for number, name in enumerate(names)]
    for place, estimate in places:
        if estimate is not None:
            axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2 if filled else 1.2)
    shown = [(place, estimate) for place, estimate in places if estimate is not None]
    axes.plot(
        [estimate.mean for _, estimate in shown], [place for place, _ in shown], linestyle="none", label=label,
        color=colour, marker="o" if filled else "D", markersize=6.5 if filled else 4.5, zorder=4, clip_on=False,
        markerfacecolor=colour if filled else style.SURFACE, markeredgecolor=colour, markeredgewidth=1.4,
    )  # fmt: skip


def _over_time(axes: Axes, name: str, values: list[tuple[float, Estimate]]) -> None:
    times = [time for time, _ in values]
    axes.plot(times, [estimate.mean for _, estimate in values], color=style.EXECUTOR, linewidth=1.4, alpha=0.55)
    for time, estimate in values:
        axes.plot([time, time], [estimate.low, estimate.high], color=style.EXECUTOR, linewidth=2)
        axes.plot([time], [estimate.mean], color=style.EXECUTOR, marker="o", markersize=6.5)
    low, high = min(e.low for _, e in values), max(e.high for _, e in values)
    room = max(0.02, 0.15 * (high - low))
    axes.set_ylim(max(0.0, low - room), min(1.0, high + room))
    margin = 0.08 * (times[-1] - times[0]) or 1.0
    axes.set_xlim(times[0] - margin, times[-1] + margin)
    axes.set_xticks([times[0], times[-1]], [_day(times[0]), _day(times[-1])])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}\u00a0%"))
    axes.locator_params(axis="y", nbins=4)
    axes.set_title(title(name))


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
