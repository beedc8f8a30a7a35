"""How varied the proposed tasks are, in a batch and against earlier iterations.

For logging, and to choose examples that differ; of rewards only the penalty against the archive looks at novelty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agent0.errors import UsageError
from agent0.rewards.repetition import repetition_shares

_BLOCK_CELLS = 2_000_000
CLUSTERS = "unique_share"
"""Name of the metric that is the clusters of like questions over all questions."""


def distinct_n(questions: Sequence[str], order: int) -> float:
    """Return distinct n-grams over all n-grams of the questions, in [0, 1]; 0 where there are none.

    It falls as the pool grows, so compare pools of the same size only.

    Raises:
        UsageError: `order` is below 1.
    """
    if order < 1:
        raise UsageError(f"An n-gram has at least one word, not {order}.")
    seen: set[tuple[str, ...]] = set()
    total = 0
    for question in questions:
        words = question.split()
        grams = list(zip(*(words[shift:] for shift in range(order)), strict=False))
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else 0.0


def cluster_entropy(shares: ArrayLike) -> float:
    """Return the entropy of the cluster sizes over its largest possible value, in [0, 1].

    1 where every question is alone, 0 where all are one cluster (or there is at most one question).

    Args:
        shares: each question's cluster share, from `repetition_shares`.
    """
    values = np.asarray(shares, dtype=np.float64)
    if len(values) < 2:
        return 0.0
    return float(np.clip(-np.log(values).mean() / np.log(len(values)), 0.0, 1.0))


def novelty(questions: Sequence[str], earlier: Sequence[str]) -> NDArray[np.float64]:
    """Return 1 - (largest BLEU with any earlier question) per question; 1 where there is no earlier one."""
    if not questions or not earlier:
        return np.ones(len(questions))
    from agent0.rewards.ngrams import bleu_blocks, count_ngrams

    new, old = count_ngrams(questions, earlier)
    result = np.empty(len(questions))
    for start, block in bleu_blocks(new, old, max(1, _BLOCK_CELLS // len(earlier))):
        result[start : start + len(block)] = 1.0 - block.max(axis=1)
    return result


def archive_likeness(
    questions: Sequence[str], archive: Sequence[str], distance_threshold: float = 0.5
) -> NDArray[np.float64]:
    """Return how like each question is to the nearest of `archive`, in [0, 1].

    0 from `distance_threshold` on, measured as 1 - BLEU, rising in a straight line to 1 where it is the same question;
    0 where there is no archive.
    """
    return np.maximum(0.0, 1.0 - novelty(questions, archive) / distance_threshold)


def far_apart(questions: Sequence[str], count: int) -> list[str]:
    """Return `count` of the questions that are far from each other, or all: the first, then the farthest from those.

    The distance of two is 1 - BLEU; time and memory grow with the square of the number of questions.
    """
    if not questions or not count:
        return []
    from scipy.spatial.distance import squareform

    from agent0.rewards.repetition import condensed_distances

    distances = squareform(condensed_distances(questions))
    chosen = [0]
    while len(chosen) < min(count, len(questions)):
        nearest = distances[chosen].min(axis=0)
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return [questions[place] for place in chosen]


def diversity_metrics(
    questions: Sequence[str], earlier: Sequence[str] = (), distance_threshold: float = 0.5
) -> dict[str, float]:
    """Return the diversity of one iteration's questions as metrics; all in [0, 1], larger is more varied.

    Args:
        questions: this iteration's; all pairs are compared, so pass a sample of a pool beyond about 8,000.
        earlier: those of earlier iterations.
        distance_threshold: of `repetition_shares`.
    """
    if not questions:
        return {}
    shares = repetition_shares(questions, distance_threshold)
    metrics = {f"distinct_{order}": distinct_n(questions, order) for order in (1, 2, 3)}
    metrics["cluster_entropy"] = cluster_entropy(shares)
    metrics[CLUSTERS] = float(np.sum(1.0 / (shares * len(questions))) / len(questions))
    if earlier:
        fresh = novelty(questions, earlier)
        metrics["novelty_mean"] = float(fresh.mean())
        metrics["novelty_below_threshold"] = float(np.mean(fresh < distance_threshold))
    return metrics
