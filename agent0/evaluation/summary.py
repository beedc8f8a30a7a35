"""The figures of one benchmark run: headline, rates, groups. Questions are the unit of every interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from agent0.benchmarks.spec import Benchmark, Item, Protocol
from agent0.errors import UsageError
from agent0.evaluation.scoring import Scored
from agent0.evaluation.statistics import Z95, Interval, bounded, clustered_mean, standard_error


@dataclass(frozen=True)
class Graded:
    """One item with all its samples: their scores, and which of them ran out of budget."""

    item: Item
    samples: tuple[Scored, ...]
    truncated: tuple[bool, ...] = ()

    @property
    def accuracy(self) -> float:
        """Share of its samples that are right."""
        return fmean(sample.correct for sample in self.samples)


@dataclass(frozen=True)
class Summary:
    """What a report shows of a benchmark.

    `score` is the protocol's headline. `micro` is the mean over items. `macro` holds for each kind of group the mean
    over groups; with SuperGPQA these and `micro` are its four averages. `rates` are shares of samples: invalid,
    timeout, error, truncated. `others` are the protocol's other rules and, where asked, `with guessing`.
    """

    score: Interval
    micro: Interval
    items: int
    samples: int
    macro: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    rates: Mapping[str, Interval] = field(default_factory=dict)
    others: Mapping[str, Interval] = field(default_factory=dict)


def summarise(benchmark: Benchmark, protocol: Protocol, graded: Sequence[Graded]) -> Summary:
    """Return the figures of a run.

    Raises:
        UsageError: no items, an item without samples, or `truncated` of another length than the samples.
    """
    if not graded or not all(entry.samples for entry in graded):
        raise UsageError(f"{benchmark.title}: a summary needs items with at least one sample each.")
    if any(entry.truncated and len(entry.truncated) != len(entry.samples) for entry in graded):
        raise UsageError(f"{benchmark.title}: whether a sample was truncated must be said of all samples or of none.")
    micro = clustered_mean([entry.accuracy for entry in graded])
    groups = {kind: _grouped(graded, kind) for kind in benchmark.breakdowns}
    groups = {kind: members for kind, members in groups.items() if members}
    return Summary(
        score=micro if protocol.aggregation == "micro" else harmonic_mean(_task_means(graded)),
        micro=micro,
        items=len(graded),
        samples=sum(len(entry.samples) for entry in graded),
        macro={kind: fmean(i.mean for i in members.values()) for kind, members in groups.items()},
        groups=groups,
        rates=_rates(graded),
        others=_others(protocol, graded),
    )


def harmonic_mean(tasks: Mapping[str, Sequence[float]]) -> Interval:
    """Return BBEH's headline: the harmonic mean over tasks of accuracy in percent plus one, as a share of 1.

    The one is not taken off again (bbeh README), so nothing right in any task scores 0.01. The interval is that of
    the delta method, with the error of each task clustered by question; a task whose questions all score the same, such
    as those with nothing right, has that of its Wilson interval.

    Raises:
        UsageError: no task, or a task without values.
    """
    if not tasks or not all(tasks.values()):
        raise UsageError("A harmonic mean needs tasks with at least one question each.")
    raised = [100 * fmean(values) + 1 for values in tasks.values()]
    mean = len(raised) / math.fsum(1 / value for value in raised)
    slopes = [mean**2 / (len(raised) * value**2) for value in raised]
    errors = [100 * (standard_error(values) or _unanimous_error(values)) for values in tasks.values()]
    error = math.sqrt(math.fsum((s * e) ** 2 for s, e in zip(slopes, errors, strict=True)))
    interval = bounded(min(mean / 100, 1.0), error / 100)
    return Interval(mean / 100, interval.low, max(interval.high, mean / 100))


def _unanimous_error(values: Sequence[float]) -> float:
    """Return the error of a mean of equal values: that no question differs does not say that none would."""
    interval = clustered_mean(values)
    return max(interval.high - interval.mean, interval.mean - interval.low) / Z95


def _task_means(graded: Sequence[Graded]) -> dict[str, list[float]]:
    tasks: dict[str, list[float]] = {}
    for entry in graded:
        tasks.setdefault(entry.item.groups["task"], []).append(entry.accuracy)
    return tasks


def _grouped(graded: Sequence[Graded], kind: str) -> dict[str, Interval]:
    members: dict[str, list[float]] = {}
    for entry in graded:
        if kind in entry.item.groups:
            members.setdefault(entry.item.groups[kind], []).append(entry.accuracy)
    return {name: clustered_mean(members[name]) for name in sorted(members)}


def _rates(graded: Sequence[Graded]) -> dict[str, Interval]:
    rates = {
        status: clustered_mean([fmean(sample.status == status for sample in entry.samples) for entry in graded])
        for status in ("invalid", "timeout", "error")
    }
    if all(entry.truncated for entry in graded):
        rates["truncated"] = clustered_mean([fmean(entry.truncated) for entry in graded])
    return rates


def _others(protocol: Protocol, graded: Sequence[Graded]) -> dict[str, Interval]:
    others = {
        name: clustered_mean([fmean(sample.others[name] for sample in entry.samples) for entry in graded])
        for name in protocol.others
    }
    if protocol.guessing:
        others["with guessing"] = clustered_mean(
            [
                fmean(float(sample.correct) if sample.guessing is None else sample.guessing for sample in entry.samples)
                for entry in graded
            ]
        )
    return others
