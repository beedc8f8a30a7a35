"""Means with their 95 % intervals: how two compare, and how they are written, the same on pages and in terminals.

Two intervals that do not overlap are called a difference; two that overlap are never called one, though a paired test
on the same questions could still find it.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Protocol

from agent0.report.history import Score

Order = Literal["above", "below", "overlap", "none"]
"""Where an interval lies relative to another; `none` where they are not to be compared, or a bound is not recorded."""


class Bounds(Protocol):
    """A mean with its interval."""

    @property
    def mean(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float | None:
        """The lower bound; None where it is not recorded."""

    @property
    def high(self) -> float | None:
        """The upper bound; None where it is not recorded."""


class Interval(NamedTuple):
    """A share and its bounds."""

    mean: float
    low: float | None = None
    high: float | None = None


def compare(first: Score | Bounds, last: Score | Bounds) -> Order:
    """Where the interval of `last` lies relative to `first`; two that have a value in common support no claim."""
    one, other = _bounds(first), _bounds(last)
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return "none"
    if other.low > one.high:
        return "above"
    if other.high < one.low:
        return "below"
    return "overlap"


def interval_of(score: Score) -> Interval:
    """A score's accuracy and bounds."""
    return Interval(score.accuracy, score.ci_low, score.ci_high)


def percent(share: float | None, digits: int = 1) -> str:
    """`0.625` as '62.5 %' with a no-break space; a dash where there is no number."""
    return "–" if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f}\u00a0%"


def interval_text(value: float | None, low: float | None, high: float | None) -> str:
    """A share with its interval, such as '62.5 % (57.1–67.6)'; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    if low is None or high is None:
        return percent(value)
    return f"{percent(value)} {bounds(value, low, high).partition(' ')[2]}"


def bounds(value: float, low: float, high: float) -> str:
    """A share with its interval in percent, such as '62.5 (57.1–67.6)'."""
    return f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def signed(share: float) -> str:
    """A difference in percentage points with a true minus sign, such as '+12.5'."""
    return f"{100 * share:+.1f}".replace("-", "−")


def gap_text(found: Bounds) -> str:
    """A difference in percentage points with its interval, such as '+12.5 (+1.0 to +24.0)'."""
    if found.low is None or found.high is None:
        return signed(found.mean)
    return f"{signed(found.mean)} ({signed(found.low)} to {signed(found.high)})"


def _bounds(value: Score | Bounds) -> Bounds:
    return interval_of(value) if isinstance(value, Score) else value
