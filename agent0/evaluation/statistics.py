"""Means with error bars. Repeated samples of one question are not independent, so the question is the unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def clustered_mean(question_means: Sequence[float]) -> Interval:
    """Return the mean over questions of values in [0, 1] with a normal 95 % interval clustered by question.

    Where all questions score the same the spread says nothing, and the Wilson interval over questions is given.

    Raises:
        ValueError: there is no question.
    """
    if not question_means:
        raise ValueError("A mean needs at least one question.")
    mean = fmean(question_means)
    spread = stdev(question_means) if len(question_means) > 1 else 0.0
    if spread == 0.0:
        return wilson(mean, len(question_means))
    half = Z95 * spread / math.sqrt(len(question_means))
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def wilson(share: float, trials: int) -> Interval:
    """Return a share of `trials` with its Wilson 95 % interval.

    Raises:
        ValueError: there are no trials.
    """
    if trials < 1:
        raise ValueError("A share needs at least one trial.")
    denominator = 1 + Z95**2 / trials
    centre = (share + Z95**2 / (2 * trials)) / denominator
    half = Z95 * math.sqrt(share * (1 - share) / trials + Z95**2 / (4 * trials**2)) / denominator
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))
