"""Means with error bars. Repeated samples of one question are not independent, so the question is the unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from agent0.answers.audit import wilson_interval
from agent0.errors import UsageError
from agent0.types import Vote

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the two intervals share a value; where they do, no difference is claimed."""
        return self.low <= other.high and other.low <= self.high


def clustered_mean(question_means: Sequence[float]) -> Interval:
    """Return the mean over questions of values in [0, 1] with a normal 95 % interval clustered by question.

    Where all questions score the same the spread says nothing, and the Wilson interval over questions is given.

    Raises:
        ValueError: there is no question.
    """
    if not question_means:
        raise ValueError("A mean needs at least one question.")
    mean = fmean(question_means)
    error = standard_error(question_means)
    if error == 0.0:
        rate = wilson_interval(round(mean * len(question_means)), len(question_means))
        return Interval(mean, min(rate.low, mean), max(rate.high, mean))
    return bounded(mean, error)


def standard_error(question_means: Sequence[float]) -> float:
    """Return the standard error of a mean over questions; 0 for a single question, of which nothing is known."""
    return stdev(question_means) / math.sqrt(len(question_means)) if len(question_means) > 1 else 0.0


def bounded(mean: float, error: float) -> Interval:
    """Return the normal 95 % interval of a share, within [0, 1]."""
    return Interval(mean, max(0.0, mean - Z95 * error), min(1.0, mean + Z95 * error))


def mean_of_intervals(intervals: Sequence[Interval]) -> Interval:
    """Return the mean of independent estimates, each end of it from the same ends of theirs.

    Near 0 and 1, where an interval is cut or lopsided, its width says little of either side (Zou and Donner 2008).
    """
    mean = fmean(interval.mean for interval in intervals)
    below = math.hypot(*(interval.mean - interval.low for interval in intervals)) / len(intervals)
    above = math.hypot(*(interval.high - interval.mean for interval in intervals)) / len(intervals)
    return Interval(mean, mean - below, mean + above)


def mean_at_k(correct: Sequence[Sequence[bool]]) -> Interval:
    """Return mean@k: the mean accuracy over questions, each the mean of its k samples.

    Args:
        correct: per question, whether each of its samples is right; at least one each.

    Raises:
        ValueError: no question.
        UsageError: a question without samples.
    """
    return clustered_mean([fmean(samples) for samples in _sampled(correct)])


def pass_at_k(correct: Sequence[Sequence[bool]], k: int) -> Interval:
    """Return the unbiased pass@k: the chance that one of k samples is right, from n >= k samples a question.

    1 - C(n-c, k) / C(n, k), Chen et al. 2021 (arXiv 2107.03374).

    Raises:
        ValueError: no question.
        UsageError: k is below 1 or above the number of a question's samples.
    """
    return clustered_mean([pass_probability(len(samples), sum(samples), k) for samples in _sampled(correct)])


def pass_probability(samples: int, right: int, k: int) -> float:
    """Return the chance that k of `samples`, drawn without replacement, hold one of the `right` ones.

    Raises:
        UsageError: k or `right` is out of range.
    """
    if not 1 <= k <= samples or not 0 <= right <= samples:
        raise UsageError(f"pass@{k} needs at least {k} samples and k >= 1; there are {samples} samples, {right} right.")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def maj_at_k(
    answers: Sequence[Sequence[str | None]],
    correct: Sequence[Sequence[bool]],
    vote: Callable[[Sequence[str | None]], Vote],
) -> Interval:
    """Return maj@k: how often the majority answer of a question's samples is right.

    Args:
        answers: per question, the answer of each sample, None where there is none.
        correct: in the same shape, whether it is right.
        vote: `agent0.answers.majority_vote`, or `exact_vote` for letters.

    Raises:
        ValueError: no question.
        UsageError: the shapes differ, or a question has no samples.
    """
    if [len(given) for given in answers] != [len(judged) for judged in _sampled(correct)]:
        raise UsageError("maj@k needs one judgement for every answer.")
    return clustered_mean(
        [float(majority_correct(given, judged, vote)) for given, judged in zip(answers, correct, strict=True)]
    )


def majority_correct(
    answers: Sequence[str | None], correct: Sequence[bool], vote: Callable[[Sequence[str | None]], Vote]
) -> bool:
    """Return whether the winner of a vote is right; a vote without a winner is not."""
    winner = vote(answers).answer
    return winner is not None and correct[list(answers).index(winner)]


def distinct_samples(texts: Sequence[Sequence[Hashable]]) -> float:
    """Return the mean number of different samples a question: k of them that are all the same are one."""
    return fmean(len(set(samples)) for samples in texts)


def intraclass_correlation(correct: Sequence[Sequence[bool]]) -> float:
    """Return how alike the samples of one question are, by analysis of variance; 1 for one sample a question.

    Unequal numbers of samples are weighted as usual; the estimate is kept within [0, 1].
    """
    sizes = [len(samples) for samples in _sampled(correct)]
    total, groups = sum(sizes), len(sizes)
    if total == groups or groups < 2:
        return 1.0
    overall = sum(sum(samples) for samples in correct) / total
    means = [fmean(samples) for samples in correct]
    between = sum(n * (m - overall) ** 2 for n, m in zip(sizes, means, strict=True)) / (groups - 1)
    within = sum(n * m * (1 - m) for n, m in zip(sizes, means, strict=True)) / (total - groups)
    typical = (total - sum(n * n for n in sizes) / total) / (groups - 1)
    spread = between + (typical - 1) * within
    return 1.0 if spread == 0 else min(1.0, max(0.0, (between - within) / spread))


def minimum_detectable_difference(
    questions: int,
    *,
    accuracy: float = 0.5,
    samples: int = 1,
    correlation_within: float = 1.0,
    correlation_between: float = 0.0,
    significance: float = 0.05,
    power: float = 0.8,
) -> float:
    """Return the smallest difference of two models' means that a run will show, as a share of 1.

    Args:
        questions: asked of both models.
        accuracy: expected, which sets the variance p (1 - p).
        samples: k, for each question.
        correlation_within: of samples of one question (`intraclass_correlation`).
        correlation_between: of the two models' means of a question; 0 is the cautious value.
        significance: two-sided.
        power: chance to find a difference of this size.

    Raises:
        UsageError: a number out of range.
    """
    shares = (accuracy, correlation_within)
    if (
        questions < 1
        or samples < 1
        or not all(0 <= share <= 1 for share in shares)
        or not -1 <= correlation_between <= 1
    ):
        raise UsageError("A detectable difference needs questions, samples >= 1 and shares from 0 to 1.")
    if not 0 < significance < 1 or not 0 < power < 1:
        raise UsageError("Significance and power lie between 0 and 1.")
    variance = accuracy * (1 - accuracy) * (correlation_within + (1 - correlation_within) / samples)
    error = math.sqrt(2 * variance * (1 - correlation_between) / questions)
    normal = NormalDist()
    return (normal.inv_cdf(1 - significance / 2) + normal.inv_cdf(power)) * error


def _sampled(correct: Sequence[Sequence[bool]]) -> Sequence[Sequence[bool]]:
    if not all(correct):
        raise UsageError("Every question needs at least one sample.")
    return correct
