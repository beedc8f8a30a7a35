"""The figures about the executor and the proposals, each a function from a history to an SVG element.

Figures with nothing to show are None. Numbers come from the history as they are; nothing is
smoothed. Training curves are in `training_figure`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agent0.report import figure_style as style
from agent0.report import wording
from agent0.report.history import History, ProposalStatistics
from agent0.report.intervals import Interval, interval_of, interval_text, percent
from agent0.report.panels import Look, by_level, histogram_panel, legend, points, score_panel, value_labels

DOTS_PER_INCH = 144
PICTURE_SIZE = (480, 300)


def levels_figure(history: History) -> str:
    """Accuracy over iterations with 95 % intervals: all levels together, then each level in its own panel."""
    scored = wording.scored(history)

    def draw(axes: Axes, level: str | None) -> None:
        own = {
            n: one if level is None else one.levels[level] for n, one in scored.items() if level in (None, *one.levels)
        }
        score_panel(axes, own, every_label=level is None)

    with style.house_style("levels"):
        figure = by_level(wording.level_names(history), draw)
        description = "Executor accuracy: " + "; ".join(
            f"{wording.name_of(history, number)} {interval_text(*interval_of(one))}" for number, one in scored.items()
        )
        return style.to_svg(figure, "levels", description)


def difficulty_figure(history: History) -> str | None:
    """The first executor's pass rate on each iteration's proposals."""
    values = {n: value for n, p in wording.rounds(history) if (value := wording.first_pass_interval(p)) is not None}
    return _share_figure("difficulty", "First executor's pass rate on proposals", values, style.CURRICULUM)


def labels_figure(history: History) -> str | None:
    """Accuracy of the pseudo-labels in the band against the known truth."""
    values = {n: value for n, p in wording.rounds(history) if (value := wording.label_interval(p)) is not None}
    return _share_figure("labels", "Pseudo-label accuracy", values, style.EXECUTOR)


def tools_figure(history: History) -> str:
    """Mean tool calls: the executor on held-out questions and on proposals, and the proposer."""
    scored, measured = wording.scored(history), wording.rounds(history)
    series = {
        Look("executor, held-out", style.EXECUTOR): {number: one.tool_calls for number, one in scored.items()},
        Look("executor, proposals", style.CURRICULUM): {n: p.tool_calls for n, p in measured},
        Look("proposer", style.MUTED, "s"): {n: p.proposer_tool_calls for n, p in measured},
    }
    with style.house_style("tools"):
        figure = style.canvas(style.HALF_WIDTH, 280)
        axes = style.place(figure, 40, 40, style.HALF_WIDTH - 54, 192)
        drawn = {look: values for look, values in series.items() if values}
        for look, values in drawn.items():
            points(axes, {number: Interval(value) for number, value in values.items()}, look)
        axes.set_ylim(0, 1.15 * max([1e-6, *(value for values in drawn.values() for value in values.values())]))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        style.iteration_axis(axes, min(scored), max(1, *scored))
        axes.set_xlabel("iteration")
        legend(figure, list(drawn))
        description = "Mean tool calls per trajectory: " + "; ".join(
            f"{look.name} " + ", ".join(f"{n}: {v:.2f}" for n, v in values.items()) for look, values in series.items()
        )
        return style.to_svg(figure, "tools", description)


def consistency_figure(history: History) -> str | None:
    """Histogram of self-consistency per iteration, the kept band shaded."""
    measured, band = wording.rounds(history), wording.kept_band(history)
    if not any(p.self_consistency_histogram for _, p in measured):
        return None
    columns = min(4, max(3, len(measured)))
    rows = math.ceil(len(measured) / columns)
    top = max((count for _, p in measured for _, count in wording.histogram(p)), default=1)
    with style.house_style("consistency"):
        figure = style.canvas(style.FULL_WIDTH, 8 + 208 * rows)
        width = (style.FULL_WIDTH - 44) / columns
        for index, (number, proposals) in enumerate(measured):
            row, column = divmod(index, columns)
            axes = style.place(figure, 44 + column * width, 32 + row * 208, width - 24, 136)
            histogram_panel(axes, f"Iteration {number}", wording.histogram(proposals), band)
            axes.set_ylim(0, 1.18 * max(1, top))
            axes.tick_params(labelleft=column == 0)
            axes.set_xlabel("self-consistency p̂")
        description = "Tasks by self-consistency: " + "; ".join(
            f"iteration {n}: " + ", ".join(f"{value:g}: {count}" for value, count in wording.histogram(p))
            for n, p in measured
        )
        return style.to_svg(figure, "consistency", description)


def consistency_picture(history: History, iteration: int, path: Path) -> None:
    """Draw the histogram of one iteration into a PNG file, for viewers that show one of each side by side."""
    width, height = PICTURE_SIZE
    with style.house_style("consistency"):
        figure = style.canvas(width, height)
        axes = style.place(figure, 48, 36, width - 72, height - 92)
        counts = wording.histogram(dict(wording.rounds(history))[iteration])
        histogram_panel(axes, f"Iteration {iteration}", counts, wording.kept_band(history))
        axes.set_xlabel("self-consistency p̂")
        axes.set_ylabel("tasks")
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor=style.SURFACE)


def yield_figure(history: History) -> str | None:
    """Proposals, valid tasks and kept tasks of each iteration, as nested bars."""
    measured = wording.rounds(history)
    if not measured:
        return None
    with style.house_style("yield"):
        height = 38 + 40 * len(measured)
        figure = style.canvas(style.FULL_WIDTH, height)
        axes = style.place(figure, 84, 34, style.FULL_WIDTH - 84 - 190, height - 38)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
        axes.set_yticks(range(len(measured)), [f"Iteration {number}" for number, _ in measured])
        axes.tick_params(axis="y", labelcolor=style.INK)
        axes.set_ylim(len(measured) - 0.5, -0.5)
        axes.set_xlim(0, max(1, *(p.generated for _, p in measured)))
        bars: tuple[tuple[str, str, Callable[[ProposalStatistics], int]], ...] = (
            ("proposals", style.BAND, lambda p: p.generated),
            ("valid", style.SOFT, lambda p: p.valid),
            ("kept to train on", style.EXECUTOR, lambda p: p.kept),
        )
        for label, colour, count in bars:
            axes.barh(range(len(measured)), [count(p) for _, p in measured], height=0.58, color=colour, label=label)
        for row, (_, p) in enumerate(measured):
            share = f"  ({percent(p.kept / p.generated, 0)})" if p.generated else ""
            text = f"{p.generated} → {p.valid} → {p.kept}{share}"
            axes.annotate(text, (1, row), (14, 0), ("axes fraction", "data"), textcoords="offset points", va="center")
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0), columnspacing=1.4, handletextpad=0.6)
        description = "Yield of the filter: " + "; ".join(
            f"iteration {n}: {p.generated} proposals, {p.valid} valid, {p.kept} kept" for n, p in measured
        )
        return style.to_svg(figure, "yield", description)


def diversity_figure(history: History) -> str | None:
    """Repetition in the pool and share of distinct questions."""
    measured = wording.rounds(history)
    if not measured:
        return None
    panels = (
        ("Repetition", "mean cluster share", {n: p.repetition for n, p in measured}),
        ("Distinct questions", "share of valid", {n: p.distinct for n, p in measured}),
    )
    with style.house_style("diversity"):
        figure = style.canvas(style.HALF_WIDTH, 280)
        for index, (title, note, values) in enumerate(panels):
            axes = style.place(figure, 46 + index * 218, 34, 166, 198)
            top = 1.0 if index else min(1.0, max(0.1, 1.3 * max(values.values())))
            style.percent_axis(axes, top)
            means = {n: Interval(v) for n, v in values.items()}
            points(axes, means, Look(title, style.CURRICULUM))
            value_labels(axes, means, all_of_them=len(values) <= 4)
            style.iteration_axis(axes, measured[0][0], max(measured[-1][0], measured[0][0] + 1))
            axes.set_title(title)
            axes.set_xlabel(f"iteration  ({note})")
        description = "; ".join(
            f"{title} " + ", ".join(f"iteration {n}: {percent(v)}" for n, v in values.items())
            for title, _, values in panels
        )
        return style.to_svg(figure, "diversity", description)


def _share_figure(name: str, title: str, values: dict[int, Interval], colour: str) -> str | None:
    if not values:
        return None
    with style.house_style(name):
        figure = style.canvas(style.HALF_WIDTH, 280)
        axes = style.place(figure, 46, 34, style.HALF_WIDTH - 60, 198)
        style.percent_axis(axes)
        points(axes, values, Look(title, colour))
        value_labels(axes, values, all_of_them=len(values) <= 6)
        style.iteration_axis(axes, min(values), max(max(values), min(values) + 1))
        axes.set_title(title)
        axes.set_xlabel("iteration")
        spoken = "; ".join(f"iteration {n} {interval_text(*value)}" for n, value in values.items())
        return style.to_svg(figure, name, f"{title}: {spoken}")
