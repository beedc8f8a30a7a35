"""How good the pseudo-labels are where the truth is known, and whether the filter still yields enough.

The truth comes from the tiny world or from a probe set of known-answer tasks mixed into generation. Nothing
here fails a run: a floor that is not met is a warning in the returned value, for the stage to log.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import NormalDist

from agent0.answers.grader import Grader
from agent0.errors import UsageError
from agent0.types import LabelledTask

COMPARED_AT_ONCE = 1024
DEFAULT_EDGES = (0.0, 0.3, 0.5, 0.8, 1.0)
EVIDENCE: Mapping[str, Callable[[LabelledTask], bool]] = {
    "one_derivation": lambda task: task.derivations < 2,
    "agreed": lambda task: task.derivations >= 2,
    "ungrounded": lambda task: task.grounded < 0.5,
    "grounded": lambda task: task.grounded >= 0.5,
    "judged_well": lambda task: task.well_posed is True,
    "judged_ill": lambda task: task.well_posed is False,
}
BREAKDOWN = (*(f"p{low:g}_{high:g}" for low, high in pairwise(DEFAULT_EDGES)), *EVIDENCE)
"""Names of the parts of an audit with the default edges."""


@dataclass(frozen=True)
class Rate:
    """A share of successes with its Wilson score interval; [0, 1] and NaN where there are no trials."""

    successes: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """Successes over trials; NaN without trials."""
        return self.successes / self.trials if self.trials else math.nan


@dataclass(frozen=True)
class AuditBin:
    """Label accuracy among tasks with low <= self-consistency < high (<= in the last bin)."""

    low: float
    high: float
    accuracy: Rate


@dataclass(frozen=True)
class LabelAudit:
    """What an audit found; `warnings` are sentences, empty where every floor is met.

    `by_evidence` parts the labels by what else speaks for them (`agent0.answers.derivations`), each in two ways:
    `one_derivation` and `agreed`, which has several; `ungrounded` and `grounded`, which most of its samples are;
    `judged_well` and `judged_ill`, by the question judge where there is one.
    """

    accuracy: Rate
    bins: tuple[AuditBin, ...]
    by_evidence: Mapping[str, Rate]
    known: int
    unlabelled: int
    filter_yield: Rate | None
    warnings: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """Numbers of the whole for the tracker, without those that are not defined."""
        values = {
            "label_accuracy": self.accuracy.value,
            "label_accuracy_low": self.accuracy.low,
            "label_accuracy_high": self.accuracy.high,
            "label_known": float(self.known),
            "label_missing": float(self.unlabelled),
        }
        if self.filter_yield is not None:
            values["filter_yield"] = self.filter_yield.value
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def breakdown(self) -> dict[str, float]:
        """The accuracy by self-consistency and by evidence, for the tracker, where it is defined."""
        rates = {f"p{part.low:g}_{part.high:g}": part.accuracy for part in self.bins} | dict(self.by_evidence)
        return {f"label_accuracy_{name}": rate.value for name, rate in rates.items() if rate.trials}


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Rate:
    """Return a binomial share with its Wilson score interval, sound for few trials and extreme shares.

    Raises:
        UsageError: counts or confidence out of range.
    """
    if not 0 <= successes <= trials or not 0 < confidence < 1:
        raise UsageError(f"No interval for {successes} of {trials} at confidence {confidence}.")
    if trials == 0:
        return Rate(0, 0, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Rate(successes, trials, low, high)


def audit_labels(
    tasks: Iterable[LabelledTask],
    grader: Grader,
    *,
    kept: int | None = None,
    edges: Sequence[float] = DEFAULT_EDGES,
    accuracy_floor: float = 0.0,
    yield_floor: float = 0.0,
) -> LabelAudit:
    """Compare pseudo-labels with the known answers.

    Args:
        tasks: labelled tasks, read once and not held; those without a known answer or without a majority answer are
            left out of the accuracy.
        grader: compares label and truth.
        kept: tasks that the filter kept out of `tasks`, for the yield.
        edges: ascending borders of the self-consistency bins.
        accuracy_floor: warn when the accuracy is below this; 0 never warns.
        yield_floor: warn when the filter keeps a smaller share than this; 0 never warns.

    Raises:
        UsageError: the edges do not ascend, or `kept` exceeds the number of tasks.
    """
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise UsageError(f"The bins of an audit need at least two ascending edges, not {tuple(edges)}.")
    total = known = 0
    shares: list[float] = []
    right: list[bool] = []
    by_evidence: dict[str, list[bool]] = {name: [] for name in EVIDENCE}
    pending = iter(tasks)
    while chunk := list(islice(pending, COMPARED_AT_ONCE)):
        with_truth = [task for task in chunk if task.known_answer is not None]
        labelled = [task for task in with_truth if task.vote.answer is not None]
        verdicts = grader.equivalent_many((task.known_answer, task.vote.answer) for task in labelled)
        total, known = total + len(chunk), known + len(with_truth)
        shares += [task.vote.self_consistency for task in labelled]
        right += [verdict.correct for verdict in verdicts]
        for name, holds in EVIDENCE.items():
            pairs = zip(labelled, verdicts, strict=True)
            by_evidence[name] += [verdict.correct for task, verdict in pairs if holds(task)]
    bins = []
    for low, high in pairwise(edges):
        inside = [
            correct
            for share, correct in zip(shares, right, strict=True)
            if low <= share < high or (high == edges[-1] == share)
        ]
        bins.append(AuditBin(low, high, _rate(inside)))
    accuracy = _rate(right)
    filter_yield = None if kept is None else wilson_interval(kept, total)
    warnings = [
        f"The {name} is {rate.value:.3f} ({rate.successes} of {rate.trials}), below its floor of {floor:g}: {advice}."
        for name, rate, floor, advice in (
            ("pseudo-label accuracy", accuracy, accuracy_floor, "raise min_self_consistency or the samples per task"),
            ("yield of the filter", filter_yield, yield_floor, "propose more tasks or widen the self-consistency band"),
        )
        if rate is not None and rate.trials and rate.value < floor
    ]
    parted = {name: _rate(judged) for name, judged in by_evidence.items()}
    return LabelAudit(accuracy, tuple(bins), parted, known, known - len(right), filter_yield, tuple(warnings))


def _rate(right: Sequence[bool]) -> Rate:
    return wilson_interval(sum(right), len(right))
