"""Sentence BLEU between all pairs of a batch, by counting n-grams once in sparse matrices.

Equals NLTK's `sentence_bleu` with one reference, uniform weights to 4-grams and smoothing method 1, on words
split at whitespace; save that a text and itself score 1 however short they are, where NLTK misses the n-grams that
neither has. Clipped matches, sum over g of min(count_i(g), count_j(g)), become plain products of 0/1
matrices by giving the t-th occurrence of an n-gram in a text its own column.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

MAX_ORDER = 4
_SMOOTHING = 0.1  # NLTK's epsilon: the numerator of a precision that would be zero
_FREQUENT = 0.05  # columns held by more than this share of texts are multiplied densely

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NGramCounts:
    """N-gram occurrences of texts; row i of `matches[n - 1]` marks the occurrences of order n in text i.

    Texts of the same words have the same number in `identities`.
    """

    matches: tuple[sparse.csr_matrix, ...]
    lengths: NDArray[np.int64]
    identities: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)


def count_ngrams(*groups: Sequence[str]) -> tuple[NGramCounts, ...]:
    """Count the n-grams of groups of texts over common columns, so that the groups can be compared."""
    vocabulary: dict[str, int] = {}
    tokens = [
        [[vocabulary.setdefault(word, len(vocabulary)) for word in text.split()] for text in group] for group in groups
    ]
    texts = list(itertools.chain.from_iterable(tokens))
    known: dict[tuple[int, ...], int] = {}
    identities = np.array([known.setdefault(tuple(text), len(known)) for text in texts], dtype=np.int64)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    words = np.fromiter(itertools.chain.from_iterable(texts), dtype=np.int64, count=int(lengths.sum()))
    rows = np.repeat(np.arange(len(texts)), lengths)
    position = np.arange(len(words)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    identity = words  # of the n-gram that ends at each word; an n-gram is an (n-1)-gram and a word
    matrices = []
    for order in range(1, MAX_ORDER + 1):
        if order > 1:
            shifted = np.concatenate([np.zeros(1, dtype=np.int64), identity[:-1]]) if len(identity) else identity
            _, identity = np.unique(shifted * max(1, len(vocabulary)) + words, return_inverse=True)
        whole = position >= order - 1  # the others would reach into the text before
        matrices.append(_occurrences(rows[whole], identity[whole], len(texts)))
    ends = np.cumsum([len(group) for group in groups])
    return tuple(
        NGramCounts(tuple(matrix[rows] for matrix in matrices), lengths[rows], identities[rows])
        for rows in (slice(end - len(group), end) for group, end in zip(groups, ends, strict=True))
    )


def bleu_blocks(
    hypotheses: NGramCounts, references: NGramCounts, rows_at_once: int, upper: bool = False
) -> Iterator[tuple[int, Floats]]:
    """Yield (first row, BLEU of each hypothesis row against each reference), a few hypothesis rows at a time.

    With `upper`, columns left of the first row are not computed and the block starts at that column.
    """
    shared = [_SharedColumns(h, r) for h, r in zip(hypotheses.matches, references.matches, strict=True)]
    for start in range(0, len(hypotheses), rows_at_once):
        stop = min(start + rows_at_once, len(hypotheses))
        first = start if upper else 0
        lengths = hypotheses.lengths[start:stop, None].astype(np.float64)
        reference_lengths = references.lengths[None, first:].astype(np.float64)
        logarithm = np.zeros((stop - start, len(references) - first))
        matched = None
        for order, columns in enumerate(shared, start=1):
            numerator = columns.block(start, stop, first)
            if matched is None:
                matched = numerator > 0  # without a common word NLTK returns 0 before smoothing
            np.copyto(numerator, _SMOOTHING, where=numerator == 0)
            np.log(numerator, out=numerator)
            numerator -= np.log(np.maximum(lengths - order + 1, 1.0))
            logarithm += numerator
        logarithm /= MAX_ORDER
        logarithm += np.minimum(0.0, 1.0 - reference_lengths / np.maximum(lengths, 1.0))  # brevity penalty
        np.exp(logarithm, out=logarithm)
        logarithm[hypotheses.identities[start:stop, None] == references.identities[None, first:]] = 1.0
        assert matched is not None
        yield start, np.where(matched, logarithm, 0.0)


class _SharedColumns:
    """The columns on both sides, split into frequent ones (dense product) and the rest (sparse product)."""

    def __init__(self, left: sparse.csr_matrix, right: sparse.csr_matrix) -> None:
        left_counts, right_counts = (np.bincount(side.indices, minlength=side.shape[1]) for side in (left, right))
        common = (left_counts > 0) & (right_counts > 0)
        if left is right:
            common &= left_counts > 1
        frequent = common & (right_counts > _FREQUENT * right.shape[0])
        rare = common & ~frequent
        self._left_dense = left[:, frequent].toarray()
        self._right_dense = self._left_dense if left is right else right[:, frequent].toarray()
        self._left, self._right = left[:, rare].tocsr(), right[:, rare].tocsr()
        self._same = left is right
        self._diagonal = np.diff(left.indptr) if left is right else None

    def block(self, start: int, stop: int, first: int) -> Floats:
        """Clipped matches of left rows [start, stop) with right rows from `first` on."""
        product = (self._left[start:stop] @ self._right[first:].T).toarray()
        product += self._left_dense[start:stop] @ self._right_dense[first:].T
        result: Floats = product.astype(np.float64)
        if self._diagonal is not None:  # columns of one text only were left out; they match nothing but that text
            rows = np.arange(start, stop)
            result[rows - start, rows - first] = self._diagonal[start:stop]
        return result


def _occurrences(rows: NDArray[np.int64], columns: NDArray[np.int64], texts: int) -> sparse.csr_matrix:
    """Return the 0/1 matrix in which the t-th occurrence of a column in a row has a column of its own."""
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    changes = np.ones(len(rows), dtype=bool)
    changes[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    run_starts = np.flatnonzero(changes)
    occurrence = np.arange(len(rows)) - np.repeat(run_starts, np.diff(np.append(run_starts, len(rows))))
    highest = int(occurrence.max()) + 1 if len(rows) else 1
    _, distinct = np.unique(columns * highest + occurrence, return_inverse=True)
    width = int(distinct.max()) + 1 if len(rows) else 1
    values = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((values, (rows, distinct)), shape=(texts, width))
