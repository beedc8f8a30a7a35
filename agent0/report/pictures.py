"""Pictures of one iteration as PNG files, for viewers that show one of each iteration side by side."""

from __future__ import annotations

from pathlib import Path

from agent0.report import figure_style as style
from agent0.report import wording
from agent0.report.history import History
from agent0.report.panels import histogram_panel

DOTS_PER_INCH = 144
SIZE = (480, 300)


def consistency_picture(history: History, iteration: int, path: Path) -> None:
    """Draw how many of an iteration's tasks have which self-consistency, the kept band shaded, into `path`."""
    proposals = dict(wording.rounds(history))[iteration]
    with style.house_style("consistency"):
        figure = style.canvas(*SIZE)
        axes = style.place(figure, 48, 36, SIZE[0] - 72, SIZE[1] - 92)
        histogram_panel(axes, f"Iteration {iteration}", wording.histogram(proposals), wording.kept_band(history))
        axes.set_xlabel("self-consistency p̂")
        axes.set_ylabel("tasks")
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor=style.SURFACE)
