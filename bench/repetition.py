"""Repetition shares against NLTK and scikit-learn, side by side: equality, speed, memory, growth.

The reference costs about 0.4 ms a pair, a quarter of an hour for 2,048 questions. By default it runs in full on 512
questions and on a random sample of the pairs of 2,048, and the rest is extrapolated from the time per pair; `--full`
runs all of it. Each size is measured in a process of its own, so that its peak memory is its own. `--check` exits
with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.cluster import AgglomerativeClustering

from agent0.rewards import repetition_shares
from agent0.rewards.repetition import condensed_distances

WORDS = 60
SIZES = (512, 2048, 8192)
THRESHOLD = 0.5


def questions(count: int, seed: int = 0) -> list[str]:
    """Return texts of 60 words with Zipf-like frequencies, four in ten a changed copy of an earlier one."""
    rng = random.Random(seed)
    result: list[str] = []
    for _ in range(count):
        if result and rng.random() < 0.4:
            words = rng.choice(result).split()
            for position in rng.sample(range(WORDS), rng.choice([1, 3, 8, 20])):
                words[position] = f"w{int(rng.paretovariate(0.7))}"
        else:
            words = [f"w{int(rng.paretovariate(0.7))}" for _ in range(WORDS)]
        result.append(" ".join(words))
    return result


def reference_distance(first: list[str], second: list[str]) -> float:
    """1 - sentence_bleu with the earlier question as hypothesis, as the official code computes it."""
    return 1.0 - float(sentence_bleu([second], first, smoothing_function=SmoothingFunction().method1))


def reference_shares(distances: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Cluster sizes over the batch by scikit-learn, from condensed distances."""
    square = np.zeros((count, count))
    square[np.triu_indices(count, 1)] = distances
    clustering = AgglomerativeClustering(
        n_clusters=None, distance_threshold=THRESHOLD, metric="precomputed", linkage="average"
    )
    labels = clustering.fit_predict(square + square.T)
    return np.bincount(labels)[labels] / count


def measure(count: int) -> dict[str, float]:
    """Run one size in a fresh process and return its seconds (best of three below 8,192) and peak MiB."""
    command = [sys.executable, __file__, "--measure", str(count)]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def measure_here(count: int) -> None:
    """Print seconds and peak MiB of this process as JSON."""
    texts = questions(count)
    seconds = []
    for _ in range(3 if count < 8192 else 1):
        start = time.perf_counter()
        shares = repetition_shares(texts)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": min(seconds), "peak_mib": peak, "clusters": float(np.sum(1 / (shares * count)))}))


def compare(count: int, pairs: int | None) -> tuple[float, float, float]:
    """Return (largest difference of distances, of shares, reference seconds for all pairs).

    Args:
        count: number of questions.
        pairs: random pairs to run the reference on; None for all, which makes the shares NLTK's own too.
    """
    texts = questions(count)
    split = [text.split() for text in texts]
    rows, columns = np.triu_indices(count, 1)
    chosen = np.arange(len(rows))
    if pairs is not None:
        chosen = np.random.default_rng(0).choice(len(rows), size=pairs, replace=False)
    start = time.perf_counter()
    expected = np.array([reference_distance(split[rows[index]], split[columns[index]]) for index in chosen])
    seconds = (time.perf_counter() - start) / len(chosen) * len(rows)
    distances = condensed_distances(texts)
    difference = float(np.abs(distances[chosen] - expected).max())
    if pairs is None:
        distances = expected
    shares = reference_shares(distances, count)
    return difference, float(np.abs(shares - repetition_shares(texts)).max()), seconds


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--full", action="store_true", help="run NLTK on all pairs of 2,048 questions")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.measure:
        measure_here(arguments.measure)
        return

    console = Console(width=120)
    table = Table("questions", "seconds", "peak MiB", "clusters")
    results = {}
    for size in SIZES:
        results[size] = measure(size)
        row = results[size]
        table.add_row(f"{size:,}", f"{row['seconds']:.2f}", f"{row['peak_mib']:.0f}", f"{row['clusters']:.0f}")
    console.print(table)

    small_distance, small_share, _ = compare(512, None)
    large_distance, large_share, seconds = compare(2048, None if arguments.full else 20_000)
    ratio = seconds / results[2048]["seconds"]
    console.print(
        f"largest differences: 512 questions, all pairs: distances {small_distance:.1e}, shares {small_share:.1e}; "
        f"2,048, {'all' if arguments.full else '20,000'} pairs: {large_distance:.1e}, {large_share:.1e}"
    )
    console.print(
        f"2,048 questions: {results[2048]['seconds']:.2f} s, reference {seconds:,.0f} s"
        f"{'' if arguments.full else ' (extrapolated)'}; ratio {ratio:,.0f}"
    )
    bars = {
        "equal to the reference within 1e-9": max(small_distance, small_share, large_distance, large_share) <= 1e-9,
        "100 x faster at 2,048": ratio >= 100,
        "at most 1 GiB at 2,048": results[2048]["peak_mib"] <= 1024,
    }
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'}  {bar}")
    if arguments.check and not all(bars.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
