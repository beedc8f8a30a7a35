"""Two models on the same questions: whether their evaluations may be paired, and the paired test of each benchmark.

The question is the unit, and its value the share of its samples that are right by the rule: verdicts of a judge are
left out, and so are the weights of a stratified subset and BBEH's harmonic mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agent0.errors import UsageError
from agent0.evaluation.results import EvaluationReport, QuestionScore, read_questions
from agent0.evaluation.statistics import Interval
from agent0.promotion.paired_tests import mcnemar, paired_bootstrap, sign_flip
from agent0.report.multiple_tests import holm

Verdicts = Mapping[str, QuestionScore]
"""Verdicts of one benchmark by question id."""


@dataclass(frozen=True)
class PairedResult:
    """Second minus first on one benchmark; `adjusted` is the p-value after Holm's correction for all benchmarks.

    The interval is that of the bootstrap. The p-value is that of McNemar's exact test with one sample a question, else
    that of the permutation test by sign flips.
    """

    benchmark: str
    questions: int
    difference: Interval
    test: Literal["McNemar", "sign flips"]
    p_value: float
    adjusted: float


def compare_paired(
    first: Mapping[str, Verdicts], second: Mapping[str, Verdicts], *, draws: int = 10_000, seed: int = 0
) -> tuple[PairedResult, ...]:
    """Compare two models on every benchmark, in the order of `first`.

    Raises:
        UsageError: not the same benchmarks or questions, none, or fewer than two questions in one.
    """
    if set(first) != set(second) or not first:
        raise UsageError(
            f"A paired comparison needs the same benchmarks; there are {', '.join(first) or 'none'} and "
            f"{', '.join(second) or 'none'}."
        )
    tested = [(name, *_test(name, first[name], second[name], draws, seed)) for name in first]
    adjusted = holm({name: p_value for name, _, _, p_value in tested})
    return tuple(
        PairedResult(name, len(first[name]), difference, test, p_value, adjusted[name])
        for name, difference, test, p_value in tested
    )


def _test(
    name: str, first: Verdicts, second: Verdicts, draws: int, seed: int
) -> tuple[Interval, Literal["McNemar", "sign flips"], float]:
    if set(first) != set(second):
        odd = sorted(set(first) ^ set(second))
        raise UsageError(f"{name}: {len(odd)} questions were asked of one model only, such as {odd[0]}.")
    pairs = [(first[id], second[id]) for id in first]
    old, new = [a.accuracy for a, _ in pairs], [b.accuracy for _, b in pairs]
    difference = paired_bootstrap(old, new, draws=draws, seed=seed)
    if all(len(a.correct) == len(b.correct) == 1 for a, b in pairs):
        exact = mcnemar([a.correct[0] for a, _ in pairs], [b.correct[0] for _, b in pairs])
        return difference, "McNemar", exact.p_value
    return difference, "sign flips", sign_flip(old, new, draws=draws, seed=seed)


def pairing_obstacles(first: EvaluationReport, second: EvaluationReport) -> list[str]:
    """Return, in sentences, why two evaluations cannot be paired; empty where they can.

    Seeds, engines and code versions may differ: they are no part of what was asked.
    """
    found = []
    if (first.preset, first.tool) != (second.preset, second.tool):
        found.append(f"{first.name} ran {_setting(first)}, {second.name} ran {_setting(second)}.")
    for score in first.benchmarks:
        other = second.score_of(score.benchmark)
        if other is None:
            continue
        if (score.questions, score.dataset_sha256) != (other.questions, other.dataset_sha256):
            found.append(f"{score.benchmark}: the questions are not the same ones.")
        if (score.decoding, score.samples, score.rule) != (other.decoding, other.samples, other.rule):
            found.append(f"{score.benchmark}: decoding, samples or rule are not the same.")
    if not shared_benchmarks(first, second):
        found.append(f"{first.name} and {second.name} share no benchmark.")
    return found


def shared_benchmarks(first: EvaluationReport, second: EvaluationReport) -> list[str]:
    """Return the names of the benchmarks that both ran, in the order of the first."""
    return [score.benchmark for score in first.benchmarks if second.score_of(score.benchmark) is not None]


def read_verdicts(place: str, report: EvaluationReport, benchmarks: list[str]) -> dict[str, Verdicts]:
    """Read the verdicts of `benchmarks` from beside the report at `place`.

    Raises:
        ResultsError: a file is missing or is not what the report says.
        StorageError: the store refuses or does not answer.
    """
    return {s.benchmark: read_questions(place, s) for s in report.benchmarks if s.benchmark in benchmarks}


def _setting(report: EvaluationReport) -> str:
    return f"preset {report.preset} {'with' if report.tool else 'without'} the tool"
