"""What each part of the method adds: variants of an evolution against the full method, paired by seed.

Differences are taken seed by seed, with a 95 % t interval over seeds, not corrected for the number of variants. Used by
the pipeline `ablation` and by `bench/ablation.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from agent0.ablations import ABLATIONS, FULL
from agent0.report.history import History
from agent0.report.page import page

Finals = Mapping[tuple[str, int], float]
"""Accuracy of the last executor by variant and seed."""


@dataclass(frozen=True)
class Row:
    """A variant: how many runs ended, mean final accuracy, gain and difference as text, and what that says."""

    variant: str
    description: str
    paper: str
    runs: int
    final: float
    gain: str
    difference: str
    conclusion: str


def rows(histories: Mapping[tuple[str, int], History]) -> list[Row]:
    """Return a row for each variant, the full method first, then in the order of `ABLATIONS`."""
    finals = {key: history.iterations[-1].executor.accuracy for key, history in histories.items()}
    gains = {key: finals[key] - history.iterations[0].executor.accuracy for key, history in histories.items()}
    variants = [name for name in (FULL, *ABLATIONS) if any(variant == name for variant, _ in histories)]
    made = []
    for variant in variants:
        own = [key for key in histories if key[0] == variant]
        ablation = ABLATIONS.get(variant)
        differences = paired(finals, variant)
        made.append(
            Row(
                variant=variant,
                description=ablation.description if ablation else "Nothing is left out.",
                paper=ablation.paper if ablation else "",
                runs=len(own),
                final=fmean(finals[key] for key in own),
                gain=shown([gains[key] for key in own]),
                difference="" if variant == FULL else shown(differences),
                conclusion="" if variant == FULL else conclusion(variant, differences),
            )
        )
    return made


def render_ablation(found: Sequence[Row], title: str) -> str:
    """Return the table as a page."""
    return page("ablation.html.j2", rows=found, title=title)


def paired(finals: Finals, variant: str) -> list[float]:
    """Return the final accuracy of a variant minus the full method's, for each seed that both ended."""
    seeds = sorted({seed for _, seed in finals})
    return [
        finals[variant, seed] - finals[FULL, seed]
        for seed in seeds
        if (variant, seed) in finals and (FULL, seed) in finals
    ]


def conclusion(variant: str, differences: Sequence[float]) -> str:
    """Say what the differences of a variant to the full method amount to."""
    if len(differences) < 2:
        return f"{variant}: fewer than two pairs of seeds, so nothing can be said."
    mean, half = t_interval(differences)
    if abs(mean) <= half:
        return f"{variant}: no difference beyond the error bars ({len(differences)} pairs)."
    return f"{variant}: {'above' if mean > 0 else 'below'} the full method by {abs(mean):.3f} ± {half:.3f}."


def shown(values: Sequence[float]) -> str:
    """Show a mean with its interval; without one where there is a single value."""
    if len(values) < 2:
        return f"{values[0]:+.3f}" if values else "–"
    mean, half = t_interval(values)
    return f"{mean:+.3f} ± {half:.3f}"


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of at least two values and the half width of its 95 % t interval."""
    from scipy.stats import t as student

    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values), half
