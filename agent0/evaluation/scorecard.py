"""From finished samples to the record of a benchmark: verdicts, estimates with intervals, cost.

For a subset every estimate speaks of the whole benchmark: strata are weighted by their sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from agent0.benchmarks.spec import Item, Protocol
from agent0.evaluation.assignments import Assignment
from agent0.evaluation.results import (
    BenchmarkScore,
    Cost,
    DecodingRecord,
    Estimate,
    GenerationRecord,
    QuestionScore,
    questions_file,
)
from agent0.evaluation.sample_store import SampleRecord, SampleStore
from agent0.evaluation.scoring import Scored, score_responses
from agent0.evaluation.statistics import (
    Interval,
    clustered_mean,
    distinct_samples,
    majority_correct,
    pass_probability,
)
from agent0.evaluation.stratified import stratified_mean
from agent0.evaluation.summary import Graded, summarise


@dataclass(frozen=True)
class Outcome:
    """One question with its samples and what was made of them; `agreement` is the share of the largest answer."""

    item: Item
    records: tuple[SampleRecord, ...]
    scored: tuple[Scored, ...]
    agreement: float
    majority_right: bool

    @property
    def correct(self) -> tuple[bool, ...]:
        """Whether each sample is right."""
        return tuple(sample.correct for sample in self.scored)

    @property
    def accuracy(self) -> float:
        """Share of its samples that are right."""
        return fmean(self.correct)


def invalid_samples(outcomes: Sequence[Outcome], at_most: int) -> list[SampleRecord]:
    """Return the first samples that the rule read no answer from, of different questions."""
    found = (
        next((record for record, sample in zip(o.records, o.scored, strict=True) if sample.status == "invalid"), None)
        for o in outcomes
    )
    return list(itertools.islice((record for record in found if record is not None), at_most))


def judge_samples(assignment: Assignment, store: SampleStore) -> list[Outcome]:
    """Score every sample of an assignment, all of which are in the store."""
    asked = [
        (question.item, [store.records[question.item.id, sample] for sample in range(assignment.samples)])
        for question in assignment.questions
    ]
    pairs = [(item, response_of(assignment.protocol, record)) for item, records in asked for record in records]
    scores = iter(score_responses(assignment.protocol, pairs))
    vote = assignment.benchmark.vote
    outcomes = []
    for item, records in asked:
        scored = tuple(next(scores) for _ in records)
        answers = [sample.answer for sample in scored]
        outcomes.append(
            Outcome(
                item,
                tuple(records),
                scored,
                vote(answers).self_consistency,
                majority_correct(answers, [sample.correct for sample in scored], vote),
            )
        )
    return outcomes


def response_of(protocol: Protocol, record: SampleRecord) -> str:
    """Return the text that is judged: what the model itself wrote, up to the first of the protocol's stop strings.

    What its programs printed is left out, and each of its turns begins a line, as it does behind an observation.
    """
    text = "\n".join(record.turns[::2]) if record.turns else record.text
    for stop in protocol.decoding.stop:
        text = text.partition(stop)[0]
    return text


def score_assignment(assignment: Assignment, outcomes: Sequence[Outcome], seconds: float, gpus: int) -> BenchmarkScore:
    """Return the record of a benchmark.

    Args:
        assignment: what was asked.
        outcomes: its questions, all of them.
        seconds: wall time that the samples took.
        gpus: that the model had; 0 where none.
    """
    graded = [
        Graded(outcome.item, outcome.scored, tuple(record.truncated for record in outcome.records))
        for outcome in outcomes
    ]
    protocol = assignment.protocol
    summary = summarise(assignment.benchmark, protocol, graded)

    def estimate(value: Callable[[Outcome], float]) -> Estimate:
        return Estimate.of(_interval(assignment, outcomes, value))

    mean_at_k = estimate(lambda outcome: outcome.accuracy)
    k = assignment.samples
    return BenchmarkScore(
        benchmark=assignment.benchmark.name,
        rule=protocol.rule.source,
        aggregation=protocol.aggregation,
        questions=len(outcomes),
        published=assignment.published,
        samples=k,
        decoding=_decoding(assignment),
        score=mean_at_k if protocol.aggregation == "micro" else _harmonic(summary.score),
        mean_at_k=mean_at_k,
        pass_at_k={
            size: estimate(lambda outcome, size=size: pass_probability(k, sum(outcome.correct), size))  # type: ignore[misc]
            for size in _powers_of_two(k)
        },
        maj_at_k=estimate(lambda outcome: float(outcome.majority_right)) if k > 1 else None,
        rates={
            **{
                status: estimate(lambda o, status=status: fmean(sample.status == status for sample in o.scored))  # type: ignore[misc]
                for status in ("invalid", "timeout", "error")
            },
            "truncated": estimate(lambda outcome: fmean(record.truncated for record in outcome.records)),
        },
        others=_others(assignment, outcomes),
        macro=dict(summary.macro),
        groups={
            kind: {name: Estimate.of(interval) for name, interval in members.items()}
            for kind, members in summary.groups.items()
        },
        distinct_samples=distinct_samples([[record.text for record in outcome.records] for outcome in outcomes]),
        cost=_cost(outcomes, seconds, gpus),
        dataset_revision=assignment.revision,
        dataset_sha256=assignment.content_sha256,
        generated=None if assignment.generated is None else GenerationRecord.model_validate(assignment.generated),
        questions_file=questions_file(assignment.benchmark.name),
    )


def question_scores(assignment: Assignment, outcomes: Sequence[Outcome]) -> list[QuestionScore]:
    """Return the verdicts on each question, by which two models are paired."""
    harmonic = assignment.protocol.aggregation == "harmonic"
    return [
        QuestionScore(
            id=outcome.item.id,
            correct=outcome.correct,
            group=outcome.item.groups["task"] if harmonic else assignment.stratum_of(outcome.item),
        )
        for outcome in outcomes
    ]


def _interval(assignment: Assignment, outcomes: Sequence[Outcome], value: Callable[[Outcome], float]) -> Interval:
    if not assignment.is_subset:
        return clustered_mean([value(outcome) for outcome in outcomes])
    strata: dict[str, list[float]] = {}
    for outcome in outcomes:
        strata.setdefault(assignment.stratum_of(outcome.item), []).append(value(outcome))
    estimate = stratified_mean(strata, assignment.sizes)
    mean = min(1.0, max(0.0, estimate.mean))  # weights sum to one but for rounding
    if any(len(set(seen)) > 1 for seen in strata.values()):
        return Interval(mean, estimate.low, estimate.high)
    # No stratum varies, which says nothing about what was not asked: the error of a plain mean stands in.
    plain = clustered_mean([value(outcome) for outcome in outcomes])
    below, above = plain.mean - plain.low, plain.high - plain.mean
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above))


def _harmonic(interval: Interval) -> Estimate:
    """Return BBEH's mean as a share of 1, which the one that it adds to each task may exceed."""
    return Estimate(mean=min(1.0, interval.mean), low=min(1.0, interval.low), high=min(1.0, interval.high))


def _others(assignment: Assignment, outcomes: Sequence[Outcome]) -> dict[str, Estimate]:
    others = {
        name: Estimate.of(
            _interval(assignment, outcomes, lambda o, name=name: fmean(sample.others[name] for sample in o.scored))  # type: ignore[misc]
        )
        for name in assignment.protocol.others
    }
    if assignment.protocol.guessing:
        others["with guessing"] = Estimate.of(
            _interval(
                assignment,
                outcomes,
                lambda o: fmean(float(s.correct) if s.guessing is None else s.guessing for s in o.scored),
            )
        )
    return others


def _powers_of_two(k: int) -> list[int]:
    return sorted({k, *(2**n for n in range(k.bit_length()) if 2**n <= k)}) if k > 1 else []


def _decoding(assignment: Assignment) -> DecodingRecord:
    decoding = assignment.protocol.decoding
    return DecodingRecord(
        max_tokens=decoding.max_tokens,
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        top_k=decoding.top_k,
        stop=decoding.stop,
        max_turns=decoding.max_turns if assignment.tool else 0,
        observation_tokens=decoding.observation_tokens if assignment.tool else 0,
    )


def _cost(outcomes: Sequence[Outcome], seconds: float, gpus: int) -> Cost:
    records = [record for outcome in outcomes for record in outcome.records]
    return Cost(
        prompt_tokens=sum(record.prompt_tokens for record in records),
        completion_tokens=sum(record.drawn_tokens for record in records),
        tool_calls=sum(len(record.tool_calls) for record in records),
        seconds=seconds,
        gpu_hours=seconds * gpus / 3600 if gpus else None,
    )
