"""Panels that figures share: points with intervals, scores against the base model's, a histogram.

Each draws into given axes and decides nothing about the page.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agent0.report import figure_style as style
from agent0.report import wording
from agent0.report.history import Score
from agent0.report.wording import Interval

FACES: dict[wording.Order, str] = {
    "above": style.BETTER,
    "below": style.WORSE,
    "overlap": style.SURFACE,
    "unknown": style.SURFACE,
}


def interval_of(score: Score) -> Interval:
    """A score's accuracy and bounds."""
    return (score.accuracy, score.ci_low, score.ci_high)


def points(
    axes: Axes,
    values: dict[int, Interval],
    colour: str,
    *,
    every_label: bool,
    faces: Sequence[str] | None = None,
) -> None:
    """Points joined by a thin line, with their intervals; a missing iteration breaks the line."""
    numbers = range(min(values), max(values) + 1)
    line = [values[n][0] if n in values else math.nan for n in numbers]
    axes.plot(list(numbers), line, color=colour, linewidth=1.4, alpha=0.55, zorder=2)
    for index, (number, (value, low, high)) in enumerate(sorted(values.items())):
        face = colour if faces is None else faces[index]
        edge = colour if face == style.SURFACE else face
        if low is not None and high is not None:
            axes.plot([number, number], [low, high], color=edge, linewidth=2, zorder=3, clip_on=False)
        axes.plot(
            [number], [value], linestyle="none", color=edge, marker="o", markersize=7.5, markerfacecolor=face,
            markeredgecolor=edge, markeredgewidth=1.8, zorder=4, clip_on=False,
        )  # fmt: skip
    if every_label:
        _value_labels(axes, values)
    else:
        first, *rest = sorted(values)
        ends = {n: values[n] for n in {first, *rest[-1:]}}
        _value_labels(axes, ends, rising_from=len(rest) > 4 and values[rest[0]][0] > values[first][0])


def _value_labels(axes: Axes, values: dict[int, Interval], *, rising_from: bool = False) -> None:
    """Values above their intervals, or all below where one has no room above and all have room below.

    With `rising_from` the first value goes below, where a dense rising line does not cross it.
    """
    bottom, top = axes.get_ylim()
    room = 0.16 * (top - bottom)
    extent = {n: (v if low is None else low, v if high is None else high) for n, (v, low, high) in values.items()}
    all_above = all(high + room < top for _, high in extent.values())
    all_below = all(low - room > bottom for low, _ in extent.values())
    for number, (low, high) in extent.items():
        above = all_above or (not all_below and high + room < top)
        if rising_from and number == min(extent) and low - room > bottom:
            above = False
        axes.annotate(
            f"{100 * values[number][0]:.1f}", (number, high if above else low), (0, 7 if above else -7),
            textcoords="offset points", ha="center", va="bottom" if above else "top", fontweight="bold",
        )  # fmt: skip


def score_panel(axes: Axes, title: str, note: str, scores: dict[int, Score], *, every_label: bool) -> None:
    """One level's accuracy over iterations; a filled point's interval leaves the shaded one of the beginning."""
    style.percent_axis(axes)
    numbers = sorted(scores)
    start = 0 if 0 in scores else numbers[0]
    base = scores[start]
    axes.axhspan(base.ci_low, base.ci_high, color=style.BAND, linewidth=0, zorder=0.5)
    values = {number: interval_of(scores[number]) for number in numbers}
    faces = [style.EXECUTOR if number == start else FACES[wording.compare(base, scores[number])] for number in numbers]
    points(axes, values, style.EXECUTOR, every_label=every_label and len(values) <= 5, faces=faces)
    style.iteration_axis(axes, min(0, numbers[0]), max(1, numbers[-1]))
    axes.set_title(title)
    if note:
        axes.set_title(note, loc="right", fontsize=10.5, fontweight="normal", color=style.MUTED)


def histogram_panel(axes: Axes, title: str, counts: list[tuple[float, int]], band: tuple[float, float] | None) -> None:
    """Tasks by self-consistency, the band shaded and its bars in the executor's colour."""
    steps = [b[0] - a[0] for a, b in itertools.pairwise(counts)]
    step = min(steps, default=0.1)
    if band is not None:
        axes.axvspan(band[0] - step / 2, band[1] + step / 2, color=style.BAND, linewidth=0, zorder=0.5)
    for value, count in counts:
        kept = band is not None and wording.in_band(value, band)
        axes.bar([value], [count], width=0.78 * step, color=style.EXECUTOR if kept else style.SOFT, zorder=2)
        if count:
            axes.annotate(
                str(count), (value, count), (0, 3), textcoords="offset points", ha="center", va="bottom",
                fontsize=9.5, color=style.MUTED,
            )  # fmt: skip
    axes.set_xlim(-step, 1 + step)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_title(title)
