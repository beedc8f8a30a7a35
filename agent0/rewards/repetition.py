"""How much of a batch repeats itself: the share of the batch in each question's cluster.

Clusters are those of average linkage on 1 - BLEU (official code, `curriculum_reward.py`), exactly. Of a pool too large
for all pairs, pass a sample: a share means the same in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent0.errors import UsageError

_BLOCK_CELLS = 2_000_000  # about 64 MB of temporary arrays


def repetition_shares(questions: Sequence[str], distance_threshold: float = 0.5) -> NDArray[np.float64]:
    """Return, for each question, the size of its cluster over the number of questions.

    Time and memory grow with the square of the number of questions: the distances alone take 8 bytes a pair,
    270 MB at 8,192 questions.

    Args:
        questions: the batch; blank ones are like nothing else, and so count alone.
        distance_threshold: clusters merge while their average distance 1 - BLEU is below this.

    Raises:
        UsageError: the threshold is not positive.
    """
    labels = cluster_labels(questions, distance_threshold)
    return np.bincount(labels)[labels] / max(1, len(labels))


def cluster_labels(questions: Sequence[str], distance_threshold: float = 0.5) -> NDArray[np.int64]:
    """Return a cluster number per question, numbered from 0 in order of first appearance."""
    if not distance_threshold > 0:
        raise UsageError(f"The distance threshold must be above 0, not {distance_threshold}.")
    if len(questions) < 2:
        return np.zeros(len(questions), dtype=np.int64)
    from scipy.cluster.hierarchy import linkage

    merges = linkage(condensed_distances(questions), method="average")
    return _cut(merges, distance_threshold, len(questions))


def condensed_distances(questions: Sequence[str]) -> NDArray[np.float64]:
    """Return 1 - BLEU for all pairs i < j, the earlier question as hypothesis, in scipy's condensed order."""
    from agent0.rewards.ngrams import bleu_blocks, count_ngrams

    total = len(questions)
    (counts,) = count_ngrams(questions)
    distances = np.empty(total * (total - 1) // 2)
    filled = 0
    for _, block in bleu_blocks(counts, counts, max(1, _BLOCK_CELLS // max(1, total)), upper=True):
        for offset, row in enumerate(block):
            later = row[offset + 1 :]
            np.subtract(1.0, later, out=distances[filled : filled + len(later)])
            filled += len(later)
    return distances


def _cut(merges: NDArray[np.float64], threshold: float, total: int) -> NDArray[np.int64]:
    """Apply the merges below the threshold: scikit-learn's strict cut, unlike scipy's `fcluster`."""
    parent = np.arange(total + len(merges))
    for number, (left, right, height, _) in enumerate(merges):
        if height < threshold:
            parent[[int(left), int(right)]] = total + number
    for node in range(len(parent) - 1, -1, -1):  # parents have higher numbers, so each is final when it is read
        parent[node] = parent[parent[node]]
    roots = parent[:total]
    _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
