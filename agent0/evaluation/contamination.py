"""Do generated tasks repeat test questions? Overlap of word n-grams, with every match shown.

The usual definition (Brown et al. 2020, arXiv 2005.14165, App. C): lower-cased words without punctuation, and a shared
run of 13 words, or of the whole test question where it has 8 to 12. Most such overlaps are boilerplate, so a match says
how much of the test question it covers, and shows the shared words. A question of fewer than 8 words is found only
where it is the same. Rewordings and translations are not found. Answer options are not looked at.

Time is linear in the words of tasks and tests. Only the tests are held.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from agent0.benchmarks.catalogue import BENCHMARKS
from agent0.benchmarks.loading import load_items
from agent0.benchmarks.row_files import SUFFIXES
from agent0.benchmarks.spec import BenchmarkError, Item
from agent0.storage import transfer
from agent0.storage.uri import is_in_s3

LONGEST, SHORTEST = 13, 8
NEAR = 0.8
"""Share of a test question's n-grams from which on the task is called nearly the same."""
_CANDIDATES = 5
_WORDS = re.compile(r"[^\W_]+")
_SIGNS = re.compile(r"[^\W_]+|[^\w\s.,;:!?'\"$\\]")  # what tells `3 + 4` from `3 - 4`
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplication loses nothing
Hashes = npt.NDArray[np.uint64]
Kind = Literal["exact", "near", "overlap"]


@dataclass(frozen=True)
class Match:
    """A task and the test question that it shares words with.

    `coverage` is the share of the test question's n-grams that the task holds; `shared` the longest run of words.
    """

    task_id: str
    task: str
    benchmark: str
    item_id: str
    question: str
    kind: Kind
    coverage: float
    shared: str


class ContaminationIndex:
    """The n-grams of test questions, to look tasks up in.

    Attributes:
        benchmarks: questions by benchmark.

    Args:
        tests: (benchmark, item) pairs; a question that two benchmarks share is reported for the first.
    """

    def __init__(self, tests: Iterable[tuple[str, Item]]) -> None:
        self._tests: list[tuple[str, str, str]] = []
        self._exact: dict[str, int] = {}
        self._vocabulary: dict[str, int] = {}
        hashes: dict[int, list[Hashes]] = {}
        owners: dict[int, list[npt.NDArray[np.int32]]] = {}
        self.benchmarks: Counter[str] = Counter()
        for number, (name, item) in enumerate(tests):
            self.benchmarks[name] += 1
            self._tests.append((name, item.id, item.question))
            self._exact.setdefault(_same(item.question), number)
            words = _words(item.question)
            length = min(LONGEST, len(words))
            if length < SHORTEST:
                continue
            ids = [self._vocabulary.setdefault(word, len(self._vocabulary) + 1) for word in words]
            grams = _grams(ids, {length})[length]
            hashes.setdefault(length, []).append(grams)
            owners.setdefault(length, []).append(np.full(len(grams), number, dtype=np.int32))
        self._lengths = {length: _sorted(hashes[length], owners[length]) for length in sorted(hashes, reverse=True)}

    def find(self, task_id: str, question: str) -> Match | None:
        """Return the test question that a task repeats most of, or None."""
        exact = self._exact.get(_same(question))
        if exact is not None:
            return self._match(task_id, question, exact, "exact")
        words = _words(question)
        grams = _grams([self._vocabulary.get(word, 0) for word in words], self._lengths)
        hits: Counter[int] = Counter()
        for length, found in grams.items():
            known, owners = self._lengths[length]
            places = np.minimum(np.searchsorted(known, found), len(known) - 1)
            hits.update(owners[places[known[places] == found]].tolist())
        candidates = [self._match(task_id, question, number) for number, _ in hits.most_common(_CANDIDATES)]
        best = max(candidates, key=lambda match: match.coverage, default=None)
        return best if best is not None and best.coverage > 0 else None  # words are compared, not only their hashes

    def _match(self, task_id: str, task: str, number: int, kind: Kind | None = None) -> Match:
        name, item_id, question = self._tests[number]
        ours, theirs = _words(task), _words(question)
        length = min(LONGEST, len(theirs))
        if kind == "exact":
            coverage, shared = 1.0, " ".join(theirs)
        else:
            there = {tuple(ours[i : i + length]) for i in range(len(ours) - length + 1)}
            inside = [tuple(theirs[i : i + length]) in there for i in range(len(theirs) - length + 1)]
            coverage = sum(inside) / len(inside)
            shared = _longest_run(theirs, inside, length)
        judged: Kind = kind or ("near" if coverage >= NEAR else "overlap")
        return Match(task_id, task, name, item_id, question, judged, coverage, shared)


def published_items(source: str) -> Iterator[tuple[str, Item]]:
    """Yield (benchmark, question) of all whose rows lie in a folder, local or `s3://`; samples of the rows will do.

    Raises:
        BenchmarkError: there is no benchmark, or a file holds something else.
        StorageError: the store refuses or does not answer.
    """
    there = _names(source)
    present = [b for b in BENCHMARKS if any(b.name + suffix in there for suffix in SUFFIXES)]
    if not present:
        raise BenchmarkError(
            f"No benchmark lies in {source}; put files such as gsm8k.jsonl there with `agent0 benchmarks fetch --to "
            f"{source}`, or check tasks against nothing with filtering.contamination=off."
        )
    for entry in present:
        yield from ((entry.name, item) for item in load_items(entry, source, partial=True))


def _names(source: str) -> set[str]:
    if is_in_s3(source):
        return set(transfer.entries(source))
    folder = Path(source)
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _same(text: str) -> str:
    return " ".join(_SIGNS.findall(text.lower()))


def _grams(ids: list[int], lengths: Iterable[int]) -> dict[int, Hashes]:
    """Hash every run of `length` ids, for each of the lengths that fit; unsigned arithmetic wraps, as it should."""
    wanted = {length for length in lengths if length <= len(ids)}
    if not wanted:
        return {}
    mixed = np.asarray(ids, dtype=np.uint64) * _BASE
    mixed ^= mixed >> np.uint64(29)
    found, running = {}, mixed
    for length in range(1, max(wanted) + 1):
        if length > 1:
            running = running[:-1] * _BASE + mixed[length - 1 :]
        if length in wanted:
            found[length] = running
    return found


def _sorted(hashes: list[Hashes], owners: list[npt.NDArray[np.int32]]) -> tuple[Hashes, npt.NDArray[np.int32]]:
    """Join and sort; a run that several questions share belongs to the first of them."""
    unique, first = np.unique(np.concatenate(hashes), return_index=True)
    return unique, np.concatenate(owners)[first]


def _longest_run(words: list[str], inside: list[bool], length: int) -> str:
    best = start = end = 0
    for position, shared in enumerate([*inside, False]):
        if not shared:
            start = position + 1
        elif position + 1 - start > best:
            best, end = position + 1 - start, position
    return " ".join(words[end + 1 - best : end + length]) if best else ""
