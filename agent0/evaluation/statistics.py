"""Means with error bars. Repeated samples of one question are not independent, so the question is the unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from agent0.answers.audit import wilson_interval

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
        rate = wilson_interval(round(mean * len(question_means)), len(question_means))
        return Interval(mean, min(rate.low, mean), max(rate.high, mean))
    half = Z95 * spread / math.sqrt(len(question_means))
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))
