"""What each part of the method adds: variants of an evolution against the full method, paired by seed.

Differences are taken seed by seed, with a 95 % t interval over seeds and the p-value of the same paired t test, which
is corrected for the number of variants by Holm's method. Used by the pipeline `ablation` and by `bench/ablation.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from agent0.ablations import ABLATIONS, FULL
from agent0.report.history import History
from agent0.report.multiple_tests import holm
from agent0.report.page import page

SIGNIFICANCE = 0.05
Finals = Mapping[tuple[str, int], float]
"""Accuracy of the last executor by variant and seed."""


@dataclass(frozen=True)
class Effect:
    """A variant against the full method.

    Attributes:
        variant: its name.
        differences: its final accuracy minus the full method's, for each seed that both ended.
        p_value: two-sided, of the paired t test; None with fewer than two pairs.
        adjusted: the same by Holm's method over all variants that are compared.
    """

    variant: str
    differences: tuple[float, ...]
    p_value: float | None
    adjusted: float | None

    @property
    def decided(self) -> bool:
        """Whether a difference is shown."""
        return self.adjusted is not None and self.adjusted < SIGNIFICANCE

    @property
    def conclusion(self) -> str:
        """What the differences amount to, as a sentence."""
        if self.p_value is None or self.adjusted is None:
            return f"{self.variant}: fewer than two pairs of seeds, so nothing can be said."
        mean, half = t_interval(self.differences)
        found = f"{'above' if mean > 0 else 'below'} the full method by {abs(mean):.3f} ± {half:.3f}"
        if self.decided:
            return f"{self.variant}: {found} (p {shown_p(self.adjusted)} by Holm)."
        if abs(mean) > half:
            return f"{self.variant}: not decided; alone it lies {found}, but p {shown_p(self.adjusted)} by Holm."
        return f"{self.variant}: not decided; {mean:+.3f} ± {half:.3f} holds zero ({len(self.differences)} pairs)."


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
    p_value: float | None
    adjusted: float | None
    conclusion: str


def rows(histories: Mapping[tuple[str, int], History]) -> list[Row]:
    """Return a row for each variant, the full method first, then in the order of `ABLATIONS`."""
    finals = {key: history.iterations[-1].executor.accuracy for key, history in histories.items()}
    gains = {key: finals[key] - history.iterations[0].executor.accuracy for key, history in histories.items()}
    found = effects(finals)
    made = []
    for variant in (name for name in (FULL, *ABLATIONS) if any(variant == name for variant, _ in histories)):
        own = [key for key in histories if key[0] == variant]
        ablation, effect = ABLATIONS.get(variant), found.get(variant)
        made.append(
            Row(
                variant=variant,
                description=ablation.description if ablation else "Nothing is left out.",
                paper=ablation.paper if ablation else "",
                runs=len(own),
                final=fmean(finals[key] for key in own),
                gain=shown([gains[key] for key in own]),
                difference=shown(effect.differences) if effect else "",
                p_value=effect.p_value if effect else None,
                adjusted=effect.adjusted if effect else None,
                conclusion=effect.conclusion if effect else "",
            )
        )
    return made


def render_ablation(found: Sequence[Row], title: str) -> str:
    """Return the table as a page."""
    return page("ablation.html.j2", rows=found, title=title, shown_p=shown_p)


def effects(finals: Finals) -> dict[str, Effect]:
    """Compare every variant but the full method with it."""
    variants = dict.fromkeys(variant for variant, _ in finals if variant != FULL)
    differences = {variant: _paired(finals, variant) for variant in variants}
    p_values = {variant: paired_t(values) for variant, values in differences.items() if len(values) > 1}
    adjusted = holm(p_values)
    return {
        variant: Effect(variant, values, p_values.get(variant), adjusted.get(variant))
        for variant, values in differences.items()
    }


def _paired(finals: Finals, variant: str) -> tuple[float, ...]:
    seeds = sorted(seed for name, seed in finals if name == variant and (FULL, seed) in finals)
    return tuple(finals[variant, seed] - finals[FULL, seed] for seed in seeds)


def shown(values: Sequence[float]) -> str:
    """Show a mean with its interval; without one where there is a single value."""
    if len(values) < 2:
        return f"{values[0]:+.3f}" if values else "–"
    mean, half = t_interval(values)
    return f"{mean:+.3f} ± {half:.3f}"


def shown_p(p_value: float) -> str:
    """Show a p-value with its sign of equality."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of at least two values and the half width of its 95 % t interval."""
    from scipy.stats import t as student

    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values), half


def paired_t(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the t test that at least two differences have the mean 0."""
    from scipy.stats import t as student

    mean, error = fmean(differences), stdev(differences) / math.sqrt(len(differences))
    if not error:
        return 0.0 if mean else 1.0
    return float(2 * student.sf(abs(mean) / error, len(differences) - 1))
