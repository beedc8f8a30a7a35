"""Up to five evolutions side by side: whether they can be compared, how far apart they end, in which settings.

The executor's scores come with 95 % intervals, not question by question; a difference is therefore given the interval
of two independent estimates, which is wider than a paired one, and is claimed only where the two intervals have no
value in common. Pure functions of the runs' histories.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent0.errors import UsageError
from agent0.report import wording
from agent0.report.history import ExecutorScores, History, IterationRecord, Score
from agent0.report.intervals import Order, compare
from agent0.report.page import flatten

MAX_RUNS = 5
# Settings that decide what is asked: where they differ, accuracies are not of the same thing.
SAME = ("rollout.domain", "evaluation.benchmarks", "evaluation.preset")
_MISSING = object()


@dataclass(frozen=True)
class Run:
    """An evolution under a short name of its own."""

    name: str
    place: str
    history: History

    @property
    def base(self) -> ExecutorScores:
        """The base model's scores."""
        return wording.ordered_iterations(self.history)[0].executor

    @property
    def last(self) -> IterationRecord:
        """The newest iteration."""
        return wording.ordered_iterations(self.history)[-1]


@dataclass(frozen=True)
class Gap:
    """Second minus first, in shares, with a 95 % interval, and what may be said of it."""

    mean: float
    low: float
    high: float
    order: Order


def name_runs(found: Mapping[str, History]) -> tuple[Run, ...]:
    """Give every run the shortest end of its place that no other run shares, and check that they can be compared.

    Raises:
        UsageError: fewer than two or more than five runs, or runs that measure different things.
        Agent0Error: a history lacks its base model.
    """
    if not 2 <= len(found) <= MAX_RUNS:
        raise UsageError(f"A comparison takes two to {MAX_RUNS} different runs, not {len(found)}; name fewer or more.")
    parts = {place: place.rstrip("/").split("/") for place in found}
    deepest = max(len(names) for names in parts.values())
    depth = next(d for d in range(1, deepest + 1) if d == deepest or _distinct(n[-d:] for n in parts.values()))
    runs = tuple(Run("/".join(parts[place][-depth:]), place, history) for place, history in found.items())
    for index, run in enumerate(runs):
        for earlier in runs[:index]:
            if earlier.history.mlflow_run_id == run.history.mlflow_run_id:
                raise UsageError(f"{earlier.place} and {run.place} are the same run; name each once.")
        _require_the_same_questions(runs[0], run)
    return runs


def gap(first: Score, second: Score) -> Gap:
    """How far `second` lies above `first`.

    The interval joins the distances from each estimate to its own bounds (Zou and Donner 2008), which for symmetric
    intervals is the usual one of two independent estimates and stays right near 0 and 1.
    """
    mean = second.accuracy - first.accuracy
    low = mean - math.hypot(second.accuracy - second.ci_low, first.ci_high - first.accuracy)
    high = mean + math.hypot(second.ci_high - second.accuracy, first.accuracy - first.ci_low)
    return Gap(mean, max(-1.0, low), min(1.0, high), compare(first, second))


def level_names(runs: Sequence[Run]) -> list[str]:
    """Levels in the order of the first run; all runs have the same."""
    return wording.level_names(runs[0].history)


def finding(first: Run, second: Run) -> str:
    """One sentence on where a run ended beside the first one."""
    found = gap(first.last.executor, second.last.executor)
    ends = f"{second.name} after iteration {second.last.iteration}"
    other = f"{first.name} after iteration {first.last.iteration}"
    if found.order == "overlap":
        return f"{ends} is not told apart from {other}: the intervals overlap."
    word = "more" if found.order == "above" else "less"
    return f"{ends} is {word} accurate than {other}: the intervals do not overlap."


def differing_settings(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Dotted names of the settings that are not the same in all runs, with each run's value or a dash."""
    flat = [flatten(run.history.config) for run in runs]
    names = dict.fromkeys(name for settings in flat for name in settings)
    rows = [(name, [settings.get(name, "–") for settings in flat]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def only_seeds_differ(runs: Sequence[Run]) -> bool:
    """Whether the runs are repetitions of one evolution."""
    return {name for name, _ in differing_settings(runs)} <= {"seed", "model.tiny.seed"}


def _distinct(names: Iterable[Sequence[str]]) -> bool:
    ends = [tuple(name) for name in names]
    return len(set(ends)) == len(ends)


def _require_the_same_questions(first: Run, second: Run) -> None:
    for name in SAME:
        a, b = (_setting(run.history.config, name) for run in (first, second))
        if a != b:
            raise UsageError(
                f"{first.place} and {second.place} do not measure the same thing: {name} is {_shown(a)} in the one and "
                f"{_shown(b)} in the other. Compare runs of one domain and the same benchmarks."
            )
    levels = [set(wording.level_names(run.history)) for run in (first, second)]
    if levels[0] != levels[1]:
        odd = ", ".join(sorted(levels[0] ^ levels[1]))
        raise UsageError(
            f"{first.place} and {second.place} do not measure the same thing: only one of them has the levels {odd}. "
            "Compare runs of one domain and the same benchmarks."
        )


def _setting(config: Mapping[str, Any], name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
    return value


def _shown(value: Any) -> str:
    return "not recorded" if value is _MISSING else ", ".join(value) if isinstance(value, list) else str(value)
