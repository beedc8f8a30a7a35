"""Repetition in pools too large for all pairs: one pass, bounded memory, an approximation.

Differs from `repetition_shares` in two ways. A question is compared with the leaders (first members) of
earlier clusters, not with all members, so a chain of gradual changes may split, and the result depends on the
order. And only leaders that share a band of hashed word pairs are compared (MinHash), which misses a leader
at the threshold with a probability of a few percent and a closer one hardly ever. When `max_clusters` leaders
are held, the cluster that grew least recently stops taking members; its size still counts.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agent0.errors import UsageError

_BANDS = 24
_ROWS = 2
_BUCKET = 24  # leaders remembered per band value; a stock phrase would collect thousands
_CANDIDATES = 12
_ORDERS = (1, 2, 3, 4)
_SMOOTHING = 0.1

_Counts = tuple[Counter[tuple[str, ...]], ...]


class StreamingRepetition:
    """Clusters questions as they come.

    Args:
        distance_threshold: a question joins the nearest leader whose distance 1 - BLEU is below this.
        max_clusters: leaders held at once; memory is about 35 kB each for questions of 60 words.
    """

    def __init__(self, distance_threshold: float = 0.5, max_clusters: int = 20_000) -> None:
        if not distance_threshold > 0 or max_clusters < 1:
            raise UsageError("The distance threshold must be above 0 and max_clusters at least 1.")
        self._threshold = distance_threshold
        self._max_clusters = max_clusters
        self._leaders: OrderedDict[int, tuple[int, _Counts, list[int]]] = OrderedDict()
        self._buckets: dict[int, deque[int]] = {}
        self._sizes: list[int] = []
        random = np.random.default_rng(0)
        shape = (_BANDS * _ROWS, 1)
        self._masks = random.integers(0, 2**64, size=shape, dtype=np.uint64)
        self._factors = random.integers(0, 2**64, size=shape, dtype=np.uint64) | np.uint64(1)

    @property
    def cluster_sizes(self) -> list[int]:
        """Members of each cluster so far, by cluster number."""
        return list(self._sizes)

    def add(self, question: str) -> int:
        """Take the next question and return the number of its cluster."""
        words = question.split()
        counts = _count(words)
        bands = self._band_values(words)
        votes = Counter(leader for band in bands for leader in self._buckets.get(band, ()))
        best, nearest = None, self._threshold
        for leader, _ in votes.most_common(_CANDIDATES):
            length, leader_counts, _ = self._leaders[leader]
            distance = 1.0 - _bleu(leader_counts, length, counts, len(words))
            if distance < nearest:
                best, nearest = leader, distance
        if best is None:
            return self._lead(words, counts, bands)
        self._sizes[best] += 1
        self._leaders.move_to_end(best)
        return best

    def _lead(self, words: list[str], counts: _Counts, bands: list[int]) -> int:
        number = len(self._sizes)
        self._sizes.append(1)
        if not words:
            return number
        if len(self._leaders) >= self._max_clusters:
            retired, (_, _, old_bands) = self._leaders.popitem(last=False)
            for band in old_bands:
                bucket = self._buckets.get(band)
                if bucket is not None and retired in bucket:
                    bucket.remove(retired)
                    if not bucket:
                        del self._buckets[band]
        self._leaders[number] = (len(words), counts, bands)
        for band in bands:
            self._buckets.setdefault(band, deque(maxlen=_BUCKET)).append(number)
        return number

    def _band_values(self, words: list[str]) -> list[int]:
        """Hash the set of adjacent word pairs into one value per band; equal sets give equal values."""
        if not words:
            return []
        shingles = {" ".join(pair) for pair in pairwise(words)} or {words[0]}
        digests = b"".join(
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in shingles
        )
        values = np.frombuffer(digests, dtype=np.uint64)[None, :]
        minima: NDArray[np.uint64] = ((values ^ self._masks) * self._factors).min(axis=1)  # wraps on purpose
        return [hash((band, *minima[band * _ROWS : (band + 1) * _ROWS].tolist())) for band in range(_BANDS)]


def streaming_repetition_shares(
    questions: Iterable[str], distance_threshold: float = 0.5, max_clusters: int = 20_000
) -> NDArray[np.float64]:
    """Return, for each question, the size of its approximate cluster over the number of questions."""
    clusters = StreamingRepetition(distance_threshold, max_clusters)
    labels = np.fromiter((clusters.add(question) for question in questions), dtype=np.int64)
    return np.asarray(clusters.cluster_sizes, dtype=np.float64)[labels] / max(1, len(labels))


def _count(words: list[str]) -> _Counts:
    return tuple(Counter(zip(*(words[shift:] for shift in range(order)), strict=False)) for order in _ORDERS)


def _bleu(hypothesis: _Counts, hypothesis_length: int, reference: _Counts, reference_length: int) -> float:
    """Return sentence BLEU with smoothing method 1, as `agent0.rewards.ngrams` does for all pairs at once."""
    logarithm = min(0.0, 1.0 - reference_length / hypothesis_length)
    for order, grams, others in zip(_ORDERS, hypothesis, reference, strict=True):
        matches = sum(min(count, others[gram]) for gram, count in grams.items() if gram in others)
        if order == 1 and not matches:
            return 0.0
        logarithm += math.log((matches or _SMOOTHING) / max(1, hypothesis_length - order + 1)) / len(_ORDERS)
    return math.exp(logarithm)
