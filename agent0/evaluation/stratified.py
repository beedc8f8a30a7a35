"""A part of a large benchmark that stands for the whole: strata in proportion, and the interval that this leaves."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean, variance

from agent0.benchmarks.spec import Item
from agent0.errors import UsageError
from agent0.evaluation.statistics import Interval, bounded


def allocate(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Share `total` questions among strata in proportion to their sizes, at least one each, by largest remainder.

    Raises:
        UsageError: fewer questions than strata, or more than there are.
    """
    available = sum(sizes.values())
    if not len(sizes) <= total <= available or min(sizes.values(), default=0) < 1:
        raise UsageError(f"A subset of {total} questions does not fit {len(sizes)} strata of {available} questions.")
    shares = {name: max(1, math.floor(total * size / available)) for name, size in sizes.items()}
    while (missing := total - sum(shares.values())) != 0:
        lacking = {name: total * size / available - shares[name] for name, size in sizes.items()}
        if missing > 0:
            name = max((n for n in sizes if shares[n] < sizes[n]), key=lacking.__getitem__)
            shares[name] += 1
        else:
            name = min((n for n in sizes if shares[n] > 1), key=lacking.__getitem__)
            shares[name] -= 1
    return shares


def stratified_subset(items: Sequence[Item], group: str, total: int, seed: int) -> list[Item]:
    """Draw `total` items, each stratum of `group` in proportion, in their published order; same seed, same items.

    Raises:
        UsageError: an item lacks the group, or `total` does not fit.
    """
    strata: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        if group not in item.groups:
            raise UsageError(f"Item {item.id} has no {group!r}; it has {', '.join(item.groups) or 'no groups'}.")
        strata.setdefault(item.groups[group], []).append(index)
    shares = allocate({name: len(members) for name, members in strata.items()}, total)
    chosen = []
    for name, members in sorted(strata.items()):
        chosen += random.Random(f"{seed}/{group}/{name}").sample(members, shares[name])
    return [items[index] for index in sorted(chosen)]


def stratified_mean(values: Mapping[str, Sequence[float]], sizes: Mapping[str, int]) -> Interval:
    """Estimate the mean of the whole benchmark from a stratified subset, with its 95 % interval.

    The questions of the benchmark are themselves a draw from their kind, as in the interval of a whole run: a subset of
    all of them has that interval. Each stratum counts by its size in the whole; what strata differ by is known from the
    whole's sizes (double sampling for stratification, Cochran 1977, section 12.2). A stratum with a single question
    borrows the mean variance of the others.

    Args:
        values: per stratum, the question means that were measured.
        sizes: per stratum, the questions of the whole benchmark.

    Raises:
        UsageError: a stratum without a value or a size, or with more values than its size.
    """
    if set(values) != set(sizes) or any(not 1 <= len(values[name]) <= sizes[name] for name in sizes) or not sizes:
        raise UsageError("Every stratum needs a size, and from one value to as many as its size.")
    whole = sum(sizes.values())
    variances = {name: variance(seen) for name, seen in values.items() if len(seen) > 1}
    borrowed = fmean(variances.values()) if variances else 0.25  # the largest variance of a share
    weights = {name: size / whole for name, size in sizes.items()}
    means = {name: fmean(seen) for name, seen in values.items()}
    mean = math.fsum(weights[name] * means[name] for name in values)
    within = sum(weights[name] ** 2 * variances.get(name, borrowed) / len(seen) for name, seen in values.items())
    between = sum(weights[name] * (means[name] - mean) ** 2 for name in values) / whole
    return bounded(mean, math.sqrt(within + between))
