"""The executor's score in the evolution's history: by level or family of a generated benchmark, else by benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from agent0.evaluation.assignments import Assignment
from agent0.evaluation.results import BenchmarkScore, Estimate
from agent0.evaluation.scorecard import Outcome
from agent0.evaluation.statistics import clustered_mean, mean_of_intervals
from agent0.report.history import ExecutorScores, Score

Judged = tuple[Assignment, BenchmarkScore, Sequence[Outcome]]


def executor_scores(judged: Sequence[Judged]) -> ExecutorScores:
    """Return the score over all benchmarks: their plain mean (the paper's AVG), with the errors of each.

    A generated benchmark on its own is broken down by its groups (difficulty levels, families), all else by benchmark.
    """
    if len(judged) == 1 and judged[0][0].generated is not None and judged[0][0].benchmark.breakdowns:
        return _by_group(*judged[0])
    levels = {score.benchmark: _score(score.score, outcomes) for _, score, outcomes in judged}
    interval = mean_of_intervals([score.score.interval() for _, score, _ in judged])
    return ExecutorScores(
        accuracy=interval.mean,
        ci_low=interval.low,
        ci_high=interval.high,
        n=sum(level.n for level in levels.values()),
        tool_calls=fmean(level.tool_calls for level in levels.values()),
        self_consistency=fmean(level.self_consistency for level in levels.values()),
        samples=max(score.samples for _, score, _ in judged),
        levels=levels,
    )


def _by_group(assignment: Assignment, score: BenchmarkScore, outcomes: Sequence[Outcome]) -> ExecutorScores:
    kind = assignment.benchmark.breakdowns[0]
    levels: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        levels.setdefault(outcome.item.groups[kind], []).append(outcome)
    return ExecutorScores(
        **_score(score.score, outcomes).model_dump(), samples=assignment.samples, levels=_level_scores(levels)
    )


def _level_scores(levels: Mapping[str, Sequence[Outcome]]) -> dict[str, Score]:
    return {
        name: _score(Estimate.of(clustered_mean([outcome.accuracy for outcome in chosen])), chosen)
        for name, chosen in levels.items()
    }


def _score(estimate: Estimate, outcomes: Sequence[Outcome]) -> Score:
    return Score(
        accuracy=estimate.mean,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n=len(outcomes),
        tool_calls=fmean(len(record.tool_calls) for outcome in outcomes for record in outcome.records),
        self_consistency=fmean(outcome.agreement for outcome in outcomes),
    )
