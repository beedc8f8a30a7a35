"""The promotion gate: does a candidate replace the champion? A pure function of their verdicts on the same questions.

It decides on evidence, not on the larger number: a gain must be shown on at least one benchmark after correction for
their number, and no benchmark may show a loss beyond what is allowed. It neither registers nor deploys anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from agent0.config import GateSettings
from agent0.promotion.pairing import PairedResult, Verdicts, compare_paired

_HUNDRED = 100


@dataclass(frozen=True)
class GateDecision:
    """What the gate says, why in one sentence, and the tests behind it."""

    decision: Literal["promote", "keep"]
    reason: str
    mean_gain: float
    gains: tuple[str, ...]
    losses: tuple[str, ...]
    results: tuple[PairedResult, ...]

    @property
    def promoted(self) -> bool:
        """Whether the candidate replaces the champion."""
        return self.decision == "promote"


def decide_promotion(
    champion: Mapping[str, Verdicts], candidate: Mapping[str, Verdicts], settings: GateSettings, *, seed: int = 0
) -> GateDecision:
    """Compare candidate and champion on every benchmark and decide.

    Args:
        champion: by benchmark, the verdicts on its questions.
        candidate: the same benchmarks and questions.
        settings: thresholds.
        seed: of what is drawn for the tests; the same seed gives the same decision.

    Raises:
        UsageError: not the same benchmarks or questions, none, or fewer than two questions in one.
    """
    results = compare_paired(champion, candidate, draws=settings.draws, seed=seed)
    mean_gain = fmean(result.difference.mean for result in results)
    gains = [r for r in results if r.difference.mean > 0 and r.adjusted <= settings.significance]
    losses = [
        r for r in results if r.difference.high < -settings.allowed_losses.get(r.benchmark, settings.allowed_loss)
    ]
    promote = bool(gains) and not losses and mean_gain >= settings.minimum_gain
    return GateDecision(
        decision="promote" if promote else "keep",
        reason=_reason(results, gains, losses, mean_gain, settings),
        mean_gain=mean_gain,
        gains=tuple(r.benchmark for r in gains),
        losses=tuple(r.benchmark for r in losses),
        results=results,
    )


def _reason(
    results: tuple[PairedResult, ...],
    gains: list[PairedResult],
    losses: list[PairedResult],
    mean_gain: float,
    settings: GateSettings,
) -> str:
    """One sentence: the first thing that stops the candidate, or what speaks for it."""
    if losses:
        return f"Keep the champion: the candidate loses more than allowed on {_listed(losses)}."
    if not gains:
        best = min(results, key=lambda result: (result.adjusted, -result.difference.mean))
        return (
            f"Keep the champion: no benchmark shows a gain at {settings.significance:g} after correction for "
            f"{len(results)}; the clearest difference is {_told(best)}."
        )
    if mean_gain < settings.minimum_gain:
        return (
            f"Keep the champion: there is a gain on {_listed(gains)}, but the mean over {len(results)} benchmarks is "
            f"{_points(mean_gain)}, below the least gain of {_points(settings.minimum_gain)}."
        )
    return (
        f"Promote the candidate: it gains on {_listed(gains)}, {_points(mean_gain)} on average over {len(results)} "
        "benchmarks, and no loss beyond what is allowed is shown."
    )


def _listed(results: list[PairedResult]) -> str:
    return ", ".join(map(_told, results))


def _told(result: PairedResult) -> str:
    low, high = result.difference.low * _HUNDRED, result.difference.high * _HUNDRED
    return (
        f"{result.benchmark} ({_points(result.difference.mean)}, 95 % interval {low:+.1f} to {high:+.1f}, "
        f"adjusted p {result.adjusted:.2g})"
    )


def _points(share: float) -> str:
    return f"{share * _HUNDRED:+.1f} points"
