"""The figures of a comparison of evolutions: scores over iterations, differences at the end, the proposals.

Every run has a colour and a marker of its own, the same in all figures; runs stand side by side so that their
intervals can be told apart. Nothing is smoothed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes

from agent0.report import figure_style as style
from agent0.report import wording
from agent0.report.evolution_comparison import Run, gap, level_names
from agent0.report.history import ExecutorScores, ProposalStatistics, Score
from agent0.report.intervals import Interval, interval_of, interval_text, signed
from agent0.report.panels import Lane, Look, by_level, forest, legend, legend_height, points, row_height, signed_axis

ALL = "All levels"
Series = Mapping[int, Interval]


def curves_figure(runs: Sequence[Run]) -> str:
    """Accuracy over iterations with 95 % intervals: all levels together, then each level in its own panel."""
    looks = _looks(runs)

    def draw(axes: Axes, level: str | None) -> None:
        _panel(axes, looks, [_scores(run, level or ALL) for run in runs])

    with style.house_style("curves"):
        figure = by_level(level_names(runs), draw, looks)
        spoken = _spoken(runs, [_scores(run, ALL) for run in runs])
        return style.to_svg(figure, "curves", f"Executor accuracy: {spoken}")


def differences_figure(runs: Sequence[Run]) -> str:
    """Every later run's last accuracy minus the first run's, by level; filled where claimed."""
    first, others = runs[0].last.executor, runs[1:]
    looks, names = _looks(runs)[1:], [ALL, *level_names(runs)]
    gaps = [{name: gap(_score(first, name), _score(run.last.executor, name)) for name in names} for run in others]
    top, height = legend_height(len(others)) + 8, row_height(len(others)) * len(names)
    with style.house_style("differences"):
        figure = style.canvas(style.FULL_WIDTH, top + height + 46)
        axes = style.place(figure, 128, top, style.FULL_WIDTH - 150, height)
        claimed = [[name for name in names if found[name].order in ("above", "below")] for found in gaps]
        forest(axes, names, list(map(Lane, looks, gaps, claimed)))
        signed_axis(axes)
        legend(figure, looks)
        told = "; ".join(f"{run.name} {signed(found[ALL].mean)}" for run, found in zip(others, gaps, strict=True))
        return style.to_svg(figure, "differences", f"Accuracy beside {runs[0].name}: {told}")


def proposals_figure(
    name: str, title: str, runs: Sequence[Run], value: Callable[[ProposalStatistics], Interval | None]
) -> str | None:
    """A share of the proposals over iterations with 95 % intervals; None where no run has it."""
    series = [{n: v for n, p in wording.rounds(run.history) if (v := value(p)) is not None} for run in runs]
    if not any(series):
        return None
    looks = _looks(runs)
    with style.house_style(name):
        top = 34 + legend_height(len(runs), columns=2)
        figure = style.canvas(style.HALF_WIDTH, top + 246)
        axes = style.place(figure, 46, top, style.HALF_WIDTH - 60, 198)
        _panel(axes, looks, series)
        axes.set_title(title)
        axes.set_xlabel("iteration")
        legend(figure, looks, columns=2)
        return style.to_svg(figure, name, f"{title}: {_spoken(runs, series)}")


def _looks(runs: Sequence[Run]) -> list[Look]:
    return [
        Look(run.name, colour, marker) for run, colour, marker in zip(runs, style.RUNS, style.RUN_MARKERS, strict=False)
    ]


def _panel(axes: Axes, looks: Sequence[Look], series: Sequence[Series]) -> None:
    style.percent_axis(axes)
    numbers = {number for values in series for number in values}
    style.iteration_axis(axes, min(numbers), max(max(numbers), min(numbers) + 1))
    for index, (look, values) in enumerate(zip(looks, series, strict=True)):
        if values:
            points(axes, values, look, shift=style.spread(axes, index, len(looks)))


def _score(executor: ExecutorScores, level: str) -> Score:
    return executor if level == ALL else executor.levels[level]


def _scores(run: Run, level: str) -> Series:
    records = wording.ordered_iterations(run.history)
    return {r.iteration: interval_of(_score(r.executor, level)) for r in records if level in (ALL, *r.executor.levels)}


def _spoken(runs: Sequence[Run], series: Sequence[Series]) -> str:
    return "; ".join(
        f"{run.name} " + ", ".join(f"iteration {n} {interval_text(*v)}" for n, v in values.items())
        for run, values in zip(runs, series, strict=True)
    )
