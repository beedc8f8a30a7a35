"""Panels that figures share: points with intervals, scores by level, rows with intervals, a histogram, a legend.

Each draws into given axes or a given figure and decides nothing about the page.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from agent0.report import figure_style as style
from agent0.report import intervals, wording
from agent0.report.history import Score
from agent0.report.intervals import Bounds

FACES: dict[intervals.Order, str] = {
    "above": style.BETTER,
    "below": style.WORSE,
    "overlap": style.SURFACE,
    "none": style.SURFACE,
}
PANEL_COLUMNS = 3
LEGEND_ROW = 24
LANE = 13
LABEL_CHARACTERS = {2: 28, 3: 40}


@dataclass(frozen=True)
class Look:
    """How one run looks in every panel: a name in the legend, a colour, a marker, and whether it is filled."""

    name: str
    colour: str
    marker: str = "o"
    filled: bool = True


@dataclass(frozen=True)
class Lane:
    """One run in the rows of `forest`: its values by row, and the rows where it is filled."""

    look: Look
    values: Mapping[str, Bounds | None]
    filled: Collection[str]


def points(
    axes: Axes,
    values: Mapping[Any, Bounds],
    look: Look,
    *,
    shift: float = 0.0,
    faces: Sequence[str] | None = None,
) -> None:
    """Points joined by a thin line, with their intervals; a missing iteration breaks the line."""
    places = sorted(values)
    whole = all(isinstance(place, int) for place in places)
    line: Sequence[float] = range(int(places[0]), int(places[-1]) + 1) if whole else places
    heights = [values[place].mean if place in values else math.nan for place in line]
    axes.plot([place + shift for place in line], heights, color=look.colour, linewidth=1.4, alpha=0.55, zorder=2)
    for index, place in enumerate(places):
        face = look.colour if faces is None else faces[index]
        _point(axes, values[place], place + shift, look, face, upright=True)


def _point(axes: Axes, value: Bounds, place: float, look: Look, face: str, *, upright: bool) -> None:
    """A mean with its interval, upright above a place or lying at its height."""
    edge = look.colour if face == style.SURFACE else face
    if value.low is not None and value.high is not None:
        ends = ([place, place], [value.low, value.high])
        axes.plot(*(ends if upright else ends[::-1]), color=edge, linewidth=2, zorder=3, clip_on=False)
    mean = ([place], [value.mean])
    axes.plot(
        *(mean if upright else mean[::-1]), linestyle="none", color=edge, marker=look.marker, markersize=7,
        markerfacecolor=face, markeredgecolor=edge, markeredgewidth=1.8, zorder=4, clip_on=False,
    )  # fmt: skip


def value_labels(axes: Axes, values: Mapping[int, Bounds], *, all_of_them: bool) -> None:
    """Values above their intervals, or all below where one has no room above and all have room below.

    Where only the ends are labelled and many points rise between them, the first value goes below, where the line does
    not cross it.
    """
    first, *rest = sorted(values)
    rises = not all_of_them and len(rest) > 4 and values[rest[0]].mean > values[first].mean
    shown = values if all_of_them else {n: values[n] for n in {first, *rest[-1:]}}
    bottom, top = axes.get_ylim()
    room = 0.16 * (top - bottom)
    extent = {n: (v.mean if v.low is None else v.low, v.mean if v.high is None else v.high) for n, v in shown.items()}
    all_above = all(high + room < top for _, high in extent.values())
    all_below = all(low - room > bottom for low, _ in extent.values())
    for number, (low, high) in extent.items():
        above = all_above or (not all_below and high + room < top)
        if rises and number == first and low - room > bottom:
            above = False
        axes.annotate(
            f"{100 * shown[number].mean:.1f}", (number, high if above else low), (0, 7 if above else -7),
            textcoords="offset points", ha="center", va="bottom" if above else "top", fontweight="bold",
        )  # fmt: skip


def by_level(levels: Sequence[str], draw: Callable[[Axes, str | None], None], looks: Sequence[Look] = ()) -> Figure:
    """A figure with a large panel of all levels together, and a small one for each.

    Args:
        levels: names in order.
        draw: draws a level, or all for None, into axes.
        looks: the legend above them, if any.
    """
    rows = max(1, math.ceil(len(levels) / PANEL_COLUMNS))
    top, height = 34 + legend_height(len(looks)), max(310, 20 + 186 * rows)
    figure = style.canvas(style.FULL_WIDTH, height + top - 34)
    overall = style.place(figure, 46, top, 250 if levels else style.FULL_WIDTH - 60, height - 74)
    draw(overall, None)
    overall.set_title("All levels")
    overall.set_xlabel("iteration")
    legend(figure, looks)
    width = (style.FULL_WIDTH - 340) / PANEL_COLUMNS
    panel_height = (height - 74 - 60 * (rows - 1)) / rows
    for index, level in enumerate(levels):
        row, column = divmod(index, PANEL_COLUMNS)
        axes = style.place(figure, 340 + column * width, top + row * (panel_height + 60), width - 22, panel_height)
        draw(axes, level)
        axes.set_title(level)
        axes.set_title(wording.level_meaning(level), loc="right", fontsize=10.5, fontweight="normal", color=style.MUTED)
        axes.tick_params(labelleft=False)
    return figure


def score_panel(axes: Axes, scores: Mapping[int, Score], *, every_label: bool) -> None:
    """Accuracy over iterations; a filled point's interval leaves the shaded one of the beginning."""
    style.percent_axis(axes)
    numbers = sorted(scores)
    start = 0 if 0 in scores else numbers[0]
    base = scores[start]
    axes.axhspan(base.ci_low, base.ci_high, color=style.BAND, linewidth=0, zorder=0.5)
    values = {number: intervals.interval_of(scores[number]) for number in numbers}
    faces = [
        style.EXECUTOR if number == start else FACES[intervals.compare(base, scores[number])] for number in numbers
    ]
    points(axes, values, Look("", style.EXECUTOR), faces=faces)
    value_labels(axes, values, all_of_them=every_label and len(values) <= 5)
    style.iteration_axis(axes, min(0, numbers[0]), max(1, numbers[-1]))


def forest(axes: Axes, names: Sequence[str], lanes: Sequence[Lane]) -> None:
    """A row for each name, and in it a mean with its interval for each lane that has one."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), list(names))
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.grid(axis="x", visible=True)
    axes.grid(axis="y", visible=False)
    for border in range(1, len(names)):
        axes.axhline(border - 0.5, color=style.GRID, linewidth=1)
    share = LANE / row_height(len(lanes))
    for index, lane in enumerate(lanes):
        for row, name in enumerate(names):
            if (value := lane.values.get(name)) is not None:
                place = row + (index - (len(lanes) - 1) / 2) * share
                face = lane.look.colour if name in lane.filled else style.SURFACE
                _point(axes, value, place, lane.look, face, upright=False)


def row_height(lanes: int) -> int:
    """Height of a row of `forest`, in pixels."""
    return LANE * lanes + 16


def signed_axis(axes: Axes) -> None:
    """An x axis of differences in percentage points, with zero in the middle."""
    axes.axvline(0, color=style.MUTED, linewidth=1.2, zorder=1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.3g}".replace("-", "−") if value else "0")
    reach = max(0.05, *(abs(edge) for edge in axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("difference in percentage points")


def legend_height(count: int, columns: int = 3) -> int:
    """Height of a legend of so many names, in pixels."""
    return LEGEND_ROW * math.ceil(count / columns)


def legend(figure: Figure, looks: Sequence[Look], columns: int = 3) -> None:
    """Names over the figure's whole width, beginning at its left edge; long ones lose their beginning."""
    if not looks:
        return
    limit = LABEL_CHARACTERS[columns]
    names = [look.name if len(look.name) <= limit else "…" + look.name[1 - limit :] for look in looks]
    handles = [
        Line2D(
            [], [], linestyle="none", color=look.colour, marker=look.marker, markersize=7, markeredgewidth=1.8,
            markerfacecolor=look.colour if look.filled else style.SURFACE,
        )
        for look in looks
    ]  # fmt: skip
    width, height = (size * style.POINTS_PER_INCH for size in figure.get_size_inches())
    figure.legend(
        handles, names, ncols=columns, loc="upper left", bbox_to_anchor=(6 / width, 1 - 2 / height),
        columnspacing=1.6, handletextpad=0.2,
    )  # fmt: skip


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
