"""The figure of the training curves: one row per metric, one column per agent, iterations end to end.

Shows what the trainer logged, unsmoothed. A metric that no step has is left out; a value that is
not finite is a gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agent0.errors import Agent0Error
from agent0.report import figure_style as style
from agent0.report.history import History
from agent0.report.wording import ordered_iterations

Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Metric:
    """A row of the figure: its title and the logged keys drawn in it, each with a name for the legend."""

    title: str
    keys: tuple[tuple[str, str], ...]
    from_zero: bool = False
    percent: bool = False


METRICS = (
    Metric("Reward", (("reward", "mean"),)),
    Metric(
        "Clipped tokens",
        (("clip_ratio/high_mean", "upper bound"), ("clip_ratio/low_mean", "lower bound")),
        from_zero=True,
        percent=True,
    ),
    Metric("KL to the stage's start", (("kl", "KL"),), from_zero=True),
    Metric("Entropy per token", (("entropy", "entropy"),)),
)
AGENTS = (
    ("curriculum", "Curriculum agent", style.CURRICULUM),
    ("executor", "Executor agent", style.EXECUTOR),
)


def training_figure(history: History) -> str | None:
    """Reward, clip fraction, KL and entropy over the logged steps; None where nothing was logged."""
    agents = [agent for agent in AGENTS if any(r.training.get(agent[0]) for r in ordered_iterations(history))]
    metrics = [m for m in METRICS if any(_has(history, agent[0], m) for agent in agents)]
    if not metrics:
        return None
    with style.house_style("training"):
        height = 52 + 150 * len(metrics)
        figure = style.canvas(style.FULL_WIDTH, height)
        width = (style.FULL_WIDTH - 10) / 2
        for column, (name, title, colour) in enumerate(agents):
            for row, metric in enumerate(metrics):
                axes = style.place(figure, 52 + column * width, 64 + row * 150, width - 66, 92)
                _panel(axes, history, name, metric, colour)
                if row == 0:
                    axes.annotate(
                        title, (0, 1), (0, 40), "axes fraction", textcoords="offset points", color=colour,
                        fontsize=13.5, fontweight="bold",
                    )  # fmt: skip
                if row == len(metrics) - 1:
                    axes.set_xlabel("logged step, iterations end to end")
        return style.to_svg(figure, "training", _description(history, metrics, [a[0] for a in agents]))


def clipping_note(history: History) -> str:
    """Whether any token of the executor's training was clipped; empty where that was not logged."""
    values = [
        row[key]
        for record in ordered_iterations(history)
        for row in record.training.get("executor", ())
        for key, _ in METRICS[1].keys
        if key in row
    ]
    if not values:
        return ""
    if max(values) > 0:
        return f"The executor's clip acted: up to {100 * max(values):.2g} % of tokens in a step."
    return "No token of the executor's training was ever clipped, so its clip bounds had no effect."


def _panel(axes: Axes, history: History, agent: str, metric: Metric, colour: str) -> None:
    offset = 0.0
    drawn = set()
    for record in ordered_iterations(history):
        rows = record.training.get(agent, ())
        if not rows:
            continue
        if offset:
            axes.axvline(offset + 0.5, color=style.SOFT, linewidth=1, zorder=1)
        for index, (key, label) in enumerate(metric.keys):
            curve = _curve(agent, rows, key)
            if curve:
                axes.plot(
                    [offset + x for x, _ in curve], [y for _, y in curve],
                    color=style.MUTED if index else colour,
                    linestyle=(0, (3, 2)) if index else "-", linewidth=1.8,
                    marker="o" if len(curve) == 1 else None, markersize=4,
                    label=label if key not in drawn and len(metric.keys) > 1 else None,
                )  # fmt: skip
                drawn.add(key)
        offset += max(_step(agent, row) for row in rows)
    axes.set_xlim(0.5, max(offset, 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(metric.title, fontsize=11.5)
    if metric.from_zero and drawn:
        axes.set_ylim(0, max(axes.get_ylim()[1], 1e-6))
    if metric.percent:
        axes.yaxis.set_major_formatter(style.percent_label)
    if not drawn:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", va="center", color=style.MUTED)
    elif len(drawn) > 1:
        axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1.02), columnspacing=1.1, handletextpad=0.5)


def _curve(agent: str, rows: tuple[dict[str, float], ...], key: str) -> Curve:
    return [(_step(agent, row), row[key] if math.isfinite(row[key]) else math.nan) for row in rows if key in row]


def _step(agent: str, row: dict[str, float]) -> float:
    if "step" not in row:
        raise Agent0Error(f"A logged row of the {agent}'s training has no 'step': {sorted(row)}; log it with each row.")
    return row["step"]


def _has(history: History, agent: str, metric: Metric) -> bool:
    return any(
        key in row for record in history.iterations for row in record.training.get(agent, ()) for key, _ in metric.keys
    )


def _description(history: History, metrics: list[Metric], agents: list[str]) -> str:
    parts = []
    for record in ordered_iterations(history):
        for agent in agents:
            for metric in metrics:
                for key, _ in metric.keys:
                    curve = _curve(agent, record.training.get(agent, ()), key)
                    if curve:
                        ends = f"{curve[0][1]:.3g} to {curve[-1][1]:.3g}"
                        parts.append(f"iteration {record.iteration} {agent} {key} {ends}")
    return "Training curves, first to last logged value: " + "; ".join(parts)
