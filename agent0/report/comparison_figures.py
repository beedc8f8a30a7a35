"""The figures of a comparison of evolutions: scores over iterations, differences at the end, the proposals.

Every run has a colour and a marker of its own, the same in all figures; runs stand side by side so that their
intervals can be told apart. Nothing is smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from agent0.report import figure_style as style
from agent0.report import wording
from agent0.report.comparison import Run, gap, level_names
from agent0.report.history import ProposalStatistics, Score
from agent0.report.panels import interval_of
from agent0.report.wording import Interval

PANEL_COLUMNS = 3
LANE = 13
Series = Mapping[int, Interval]


def curves_figure(runs: Sequence[Run]) -> str:
    """Accuracy over iterations with 95 % intervals: all levels together, then each level in its own panel."""
    names = level_names(runs)
    rows = max(1, math.ceil(len(names) / PANEL_COLUMNS))
    top, height = _legend_height(runs) + 34, max(310, 20 + 186 * rows)
    with style.house_style("curves"):
        figure = style.canvas(style.FULL_WIDTH, height + top - 34)
        overall = style.place(figure, 46, top, 250 if names else style.FULL_WIDTH - 60, height - 74)
        _panel(overall, "All levels", "", runs, [_scores(run, None) for run in runs])
        overall.set_xlabel("iteration")
        _legend(figure, runs)
        width = (style.FULL_WIDTH - 340) / PANEL_COLUMNS
        panel_height = (height - 74 - 60 * (rows - 1)) / rows
        for index, name in enumerate(names):
            row, column = divmod(index, PANEL_COLUMNS)
            left, down = 340 + column * width, top + row * (panel_height + 60)
            axes = style.place(figure, left, down, width - 22, panel_height)
            _panel(axes, name, wording.level_meaning(name), runs, [_scores(run, name) for run in runs])
            axes.tick_params(labelleft=False)
        return style.to_svg(figure, "curves", "Executor accuracy: " + _spoken(runs, lambda run: _scores(run, None)))


def differences_figure(runs: Sequence[Run]) -> str:
    """Every later run's last accuracy minus the first run's, by level; filled where claimed."""
    others, names = runs[1:], [None, *level_names(runs)]
    band = LANE * len(others) + 16
    top = _legend_height(others) + 8
    with style.house_style("differences"):
        figure = style.canvas(style.FULL_WIDTH, top + band * len(names) + 46)
        axes = style.place(figure, 128, top, style.FULL_WIDTH - 150, band * len(names))
        axes.axvline(0, color=style.MUTED, linewidth=1.2, zorder=1)
        for lane, run in enumerate(others):
            colour, marker = style.RUNS[lane + 1], style.RUN_MARKERS[lane + 1]
            for row, name in enumerate(names):
                found = gap(*(_score(r, name) for r in (runs[0], run)))
                place = row + ((lane + 0.5) / len(others) - 0.5) * LANE * len(others) / band
                axes.plot([found.low, found.high], [place, place], color=colour, linewidth=2, zorder=3)
                claimed = found.order in ("above", "below")
                axes.plot(
                    [found.mean], [place], color=colour, marker=marker, markersize=7, linestyle="none", zorder=4,
                    markerfacecolor=colour if claimed else style.SURFACE, markeredgewidth=1.6,
                )  # fmt: skip
        _difference_axes(axes, ["All levels", *(name for name in names if name)])
        _legend(figure, others, first=1)
        description = f"Accuracy beside {runs[0].name}: " + "; ".join(
            f"{run.name} {_signed(gap(runs[0].last.executor, run.last.executor).mean)}" for run in others
        )
        return style.to_svg(figure, "differences", description)


def proposals_figure(
    name: str, title: str, runs: Sequence[Run], value: Callable[[ProposalStatistics], Interval | None]
) -> str | None:
    """A share of the proposals over iterations with 95 % intervals; None where no run has it."""
    series = [{n: v for n, p in wording.rounds(run.history) if (v := value(p)) is not None} for run in runs]
    if not any(series):
        return None
    with style.house_style(name):
        top = 34 + _legend_height(runs, columns=2)
        figure = style.canvas(style.HALF_WIDTH, top + 246)
        axes = style.place(figure, 46, top, style.HALF_WIDTH - 60, 198)
        _panel(axes, title, "", runs, series)
        axes.set_xlabel("iteration")
        _legend(figure, runs, columns=2)
        spoken = _spoken(runs, lambda run: series[list(runs).index(run)])
        return style.to_svg(figure, name, f"{title}: {spoken}")


def _panel(axes: Axes, title: str, note: str, runs: Sequence[Run], series: Sequence[Series]) -> None:
    style.percent_axis(axes)
    numbers = {number for values in series for number in values}
    style.iteration_axis(axes, min(numbers), max(max(numbers), min(numbers) + 1))
    for index, (run, values) in enumerate(zip(runs, series, strict=True)):
        if values:
            _draw(axes, index, style.spread(axes, index, len(runs)), run.name, values)
    axes.set_title(title)
    if note:
        axes.set_title(note, loc="right", fontsize=10.5, fontweight="normal", color=style.MUTED)


def _draw(axes: Axes, index: int, shift: float, label: str, values: Series) -> None:
    colour = style.RUNS[index]
    numbers = range(min(values), max(values) + 1)
    line = [values[n][0] if n in values else math.nan for n in numbers]
    axes.plot([n + shift for n in numbers], line, color=colour, linewidth=1.4, alpha=0.55, zorder=2)
    for number, (_, low, high) in values.items():
        if low is not None and high is not None:
            axes.plot([number + shift] * 2, [low, high], color=colour, linewidth=1.8, zorder=3, clip_on=False)
    axes.plot(
        [n + shift for n in values], [value for value, _, _ in values.values()], linestyle="none", label=label,
        color=colour, marker=style.RUN_MARKERS[index], markersize=6.5, zorder=4, clip_on=False,
    )  # fmt: skip


def _difference_axes(axes: Axes, names: Sequence[str]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), list(names))
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.grid(axis="x", visible=True)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value)))
    reach = max(0.05, *(abs(edge) for edge in axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("difference in percentage points")
    for border in range(1, len(names)):
        axes.axhline(border - 0.5, color=style.GRID, linewidth=1)


def _legend_height(runs: Sequence[Run], columns: int = 3) -> int:
    return 24 * math.ceil(len(runs) / columns)


def _legend(figure: Figure, runs: Sequence[Run], *, first: int = 0, columns: int = 3) -> None:
    """Names of the runs over the figure's whole width, beginning at its left edge."""
    handles = [
        Line2D([], [], linestyle="none", color=style.RUNS[i], marker=style.RUN_MARKERS[i], markersize=7)
        for i in range(first, first + len(runs))
    ]
    width, height = (size * style.POINTS_PER_INCH for size in figure.get_size_inches())
    figure.legend(
        handles, [_shortened(run.name, columns) for run in runs], ncols=columns, loc="upper left",
        bbox_to_anchor=(6 / width, 1 - 2 / height), columnspacing=1.6, handletextpad=0.2,
    )  # fmt: skip


def _shortened(name: str, columns: int) -> str:
    limit = 40 if columns == 3 else 28
    return name if len(name) <= limit else "…" + name[1 - limit :]


def _score(run: Run, level: str | None) -> Score:
    return run.last.executor if level is None else run.last.executor.levels[level]


def _scores(run: Run, level: str | None) -> dict[int, Interval]:
    records = wording.ordered_iterations(run.history)
    if level is None:
        return {record.iteration: interval_of(record.executor) for record in records}
    return {r.iteration: interval_of(r.executor.levels[level]) for r in records if level in r.executor.levels}


def _signed(share: float) -> str:
    return f"{100 * share:+.3g}".replace("-", "−") if share else "0"


def _spoken(runs: Sequence[Run], values: Callable[[Run], Series]) -> str:
    return "; ".join(
        f"{run.name} " + ", ".join(f"iteration {n} {wording.interval_text(*v)}" for n, v in values(run).items())
        for run in runs
    )
