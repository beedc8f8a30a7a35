"""Is one model better than another? Paired tests on the same questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agent0.errors import UsageError
from agent0.evaluation.statistics import Interval

_CHUNK = 4_000_000  # indices drawn at once: 32 MB
_EXACT_QUESTIONS = 16  # of which all 65,536 signs are gone through


@dataclass(frozen=True)
class McNemar:
    """Questions that only the first or only the second model has right, and the exact two-sided p-value."""

    only_first: int
    only_second: int
    p_value: float


def paired_bootstrap(
    first: Sequence[float], second: Sequence[float], *, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Return second minus first, the 95 % interval by drawing questions with replacement; same seed, same numbers.

    Args:
        first: mean of each question under the first model.
        second: the same questions, in the same order, under the second.
        draws: how often all questions are drawn.
        seed: of the draws.

    Raises:
        UsageError: fewer than two questions, not the same number, or no draws.
    """
    differences = _differences(first, second, draws)
    generator = np.random.default_rng(seed)
    count = len(differences)
    means = np.concatenate(
        [differences[generator.integers(count, size=(rows, count))].mean(axis=1) for rows in _chunks(draws, count)]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(differences.mean()), float(low), float(high))


def sign_flip(first: Sequence[float], second: Sequence[float], *, draws: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value of a paired permutation test over questions; the same seed gives the same number.

    Of two equal models either could have been first, so the sign of each question's difference is one of a fair coin
    (Fisher 1935, section 21). All signs of up to 16 questions are gone through; of more they are drawn, and p is
    (b + 1) / (draws + 1) (Phipson and Smyth 2010). Equal models are rejected no more often than p says.

    Args:
        first: mean of each question under the first model.
        second: the same questions, in the same order, under the second.
        draws: of all signs, where there are more questions.
        seed: of the draws.

    Raises:
        UsageError: fewer than two questions, not the same number, or no draws.
    """
    differences = _differences(first, second, draws)
    moved = differences[differences != 0]  # the sign of the others does not matter
    count = len(moved)
    observed = abs(float(moved.sum())) - 1e-9 * count  # the same sum in another order counts as reached
    if count <= _EXACT_QUESTIONS:
        flips = np.arange(1 << count)[:, None] >> np.arange(count) & 1
        return _reached(flips, moved, observed) / len(flips)
    generator = np.random.default_rng(seed)
    reached = sum(
        _reached(generator.integers(2, size=(rows, count), dtype=np.int8), moved, observed)
        for rows in _chunks(draws, count)
    )
    return (reached + 1) / (draws + 1)


def least_p_value(questions: int) -> float:
    """Return the smallest p-value that a paired test of so many questions can give: all speak for the same model."""
    return 2.0 ** (1 - questions)


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


def _two_sided(smaller: int, trials: int) -> float:
    """Twice the binomial tail at one half, at most 1."""
    logs = [_log_choose(trials, count) - trials * math.log(2) for count in range(smaller + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def _log_choose(trials: int, count: int) -> float:
    return math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)


def _reached(flips: npt.NDArray[Any], moved: npt.NDArray[np.float64], observed: float) -> int:
    """Count the rows of `flips` (0 or 1 a question) under which the differences add up to `observed` or more."""
    return int((np.abs(moved.sum() - 2 * (flips @ moved)) >= observed).sum())


def _chunks(draws: int, questions: int) -> list[int]:
    """Divide draws into as many at once as memory is meant for."""
    step = max(1, _CHUNK // questions)
    return [min(step, draws - done) for done in range(0, draws, step)]


def _differences(first: Sequence[float], second: Sequence[float], draws: int) -> npt.NDArray[np.float64]:
    if draws < 1:
        raise UsageError(f"A paired comparison needs at least one draw, not {draws}.")
    if len(first) != len(second) or len(first) < 2:
        raise UsageError(
            f"A paired comparison needs the same two or more questions; there are {len(first)} and {len(second)}."
        )
    return np.subtract(np.asarray(second, dtype=np.float64), np.asarray(first, dtype=np.float64))
