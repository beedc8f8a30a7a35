"""The look of the report's figures, and their way into the page as inline SVG that follows its colour scheme.

A figure is drawn in fixed colours that stand for roles (ink, grid, executor, ...); `to_svg` turns
each into the CSS variable of that role, so one drawing serves the light page, the dark page and the
print. Text stays text and takes the page's font. Nothing here knows what is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from xml.sax.saxutils import quoteattr

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1f2328"
MUTED = "#68707b"
GRID = "#e3e6ea"
SURFACE = "#fdfdfe"
SOFT = "#c8d1dc"
BAND = "#e9eef5"
EXECUTOR = "#2c5c9c"
CURRICULUM = "#ab5a24"
BETTER = "#2c7a56"
WORSE = "#b03a4a"
RUNS = ("#2c5d9d", "#ab5b25", "#7a4fa3", "#1d7f86", "#857016")
RUN_MARKERS = ("o", "s", "D", "^", "v")  # so that runs are told apart without colours too
ROLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    SURFACE: "--card",
    SOFT: "--soft",
    BAND: "--band",
    EXECUTOR: "--executor",
    CURRICULUM: "--curriculum",
    BETTER: "--better",
    WORSE: "--worse",
    **{colour: f"--run{number}" for number, colour in enumerate(RUNS, start=1)},
}

FULL_WIDTH = 920
HALF_WIDTH = 450
POINTS_PER_INCH = 72
SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # ships with matplotlib, so positions are the same on every machine
    "font.size": 11.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 9,
    "axes.labelsize": 11.5,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 1.0,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "legend.frameon": False,
    "legend.fontsize": 11.5,
    "legend.borderaxespad": 0,
    "legend.handlelength": 1.4,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
}


@contextmanager
def house_style(name: str) -> Iterator[None]:
    """Matplotlib with our settings and none of the user's, in this block; `name` fixes the SVG's ids."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS | {"svg.hashsalt": name})
        yield


def canvas(width: int, height: int) -> Figure:
    """An empty figure of `width` by `height` SVG units, which are CSS pixels at full size."""
    return Figure(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH))


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a position in pixels from the figure's upper left corner."""
    total_width, total_height = (size * POINTS_PER_INCH for size in figure.get_size_inches())
    return figure.add_axes(
        (left / total_width, 1 - (top + height) / total_height, width / total_width, height / total_height)
    )


def percent_label(share: float, _: object) -> str:
    """The label of a tick on an axis of shares."""
    return f"{100 * share:.3g}\u00a0%"


def percent_axis(axes: Axes, top: float = 1.0) -> None:
    """A y axis of shares from 0 to `top`, labelled in percent."""
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(percent_label)
    if top == 1.0:
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])


def iteration_axis(axes: Axes, first: int, last: int) -> None:
    """An x axis of iterations; below 1 stand the base model and, where the axis begins at -1, the warm one at 0."""
    numbers = range(first, last + 1)
    axes.set_xlim(first - 0.45, last + 0.45)
    step = 1 if len(numbers) <= 7 else 2 if len(numbers) <= 14 else 5
    shown = [number for number in numbers if (number - first) % step == 0]
    named = {first: "base"} if first == 0 else {-1: "base", 0: "warm"}
    axes.set_xticks(shown, [named.get(number, str(number)) for number in shown])


def spread(axes: Axes, number: int, count: int) -> float:
    """How far the points of run `number` of `count` stand beside their iteration, so that intervals do not cover."""
    low, high = axes.get_xlim()
    return (number - (count - 1) / 2) * min(0.14, 0.5 / count) * min(1.0, (high - low) / 4 + 0.4)


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as a scalable, described `<svg>` element whose ids start with `name`."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r' width="[^"]*pt" height="[^"]*pt"', "", svg, count=1)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("font-family: 'DejaVu Sans'; ", "").replace("; font-family: 'DejaVu Sans'", "")
    for colour, variable in ROLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg ", f'<svg role="img" aria-label={quoteattr(description)} ', 1).strip()
