"""Is one model better than another? Paired tests on the same questions, and a correction for many benchmarks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from agent0.errors import UsageError
from agent0.evaluation.statistics import Z95

_CHUNK = 4_000_000  # indices drawn at once: 32 MB


@dataclass(frozen=True)
class Difference:
    """Second minus first, a 95 % interval, and a two-sided p-value."""

    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class McNemar:
    """Questions that only the first or only the second model has right, and the exact two-sided p-value."""

    only_first: int
    only_second: int
    p_value: float


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare two models' means of the same questions by the normal law of their differences.

    Args:
        first: mean of each question under the first model.
        second: the same questions, in the same order, under the second.

    Raises:
        UsageError: fewer than two questions, or not the same number.
    """
    differences = _differences(first, second)
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    if error == 0.0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    p_value = 2 * NormalDist().cdf(-abs(mean) / error)
    return Difference(mean, mean - Z95 * error, mean + Z95 * error, p_value)


def paired_bootstrap(
    first: Sequence[float], second: Sequence[float], *, draws: int = 10_000, seed: int = 0
) -> Difference:
    """Compare two models' means by drawing questions with replacement; the same seed gives the same numbers.

    The p-value is twice the smaller share of draws on one side of zero, with one draw added to each side so that it
    is never 0.

    Raises:
        UsageError: fewer than two questions, not the same number, or no draws.
    """
    differences = _differences(first, second)
    if draws < 1:
        raise UsageError(f"A bootstrap needs at least one draw, not {draws}.")
    generator = np.random.default_rng(seed)
    count = len(differences)
    step = max(1, _CHUNK // count)
    means = np.concatenate(
        [
            differences[generator.integers(count, size=(min(step, draws - done), count))].mean(axis=1)
            for done in range(0, draws, step)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p_value = min(1.0, 2 * (tail + 1) / (draws + 1))
    return Difference(float(differences.mean()), float(low), float(high), p_value)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """Compare two models that answered each question once, by the exact test on the questions where they differ.

    Raises:
        UsageError: not the same number of questions, or none.
    """
    if len(first) != len(second) or not first:
        raise UsageError(f"McNemar's test pairs the same questions; there are {len(first)} and {len(second)}.")
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    return McNemar(only_first, only_second, _two_sided(min(only_first, only_second), only_first + only_second))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for their number by Holm's step-down method, under the same names.

    Raises:
        UsageError: a value outside [0, 1].
    """
    if any(not 0 <= value <= 1 for value in p_values.values()):
        raise UsageError("P-values lie between 0 and 1.")
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def _two_sided(smaller: int, trials: int) -> float:
    """Twice the binomial tail at one half, at most 1."""
    logs = [_log_choose(trials, count) - trials * math.log(2) for count in range(smaller + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def _log_choose(trials: int, count: int) -> float:
    return math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)


def _differences(first: Sequence[float], second: Sequence[float]) -> npt.NDArray[np.float64]:
    if len(first) != len(second) or len(first) < 2:
        raise UsageError(
            f"A paired comparison needs the same two or more questions; there are {len(first)} and {len(second)}."
        )
    return np.subtract(np.asarray(second, dtype=np.float64), np.asarray(first, dtype=np.float64))
