"""Putting a judge's verdicts beside those of the rule, in a record of its own beside that of a finished evaluation.

What was evaluated is read, never written: a registry may vouch for the record by its digest. Benchmarks that are
generated need no judge and keep their scores. The judged mean is over the questions asked, without the weights of a
subset.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from agent0.benchmarks.catalogue import benchmark
from agent0.benchmarks.loading import load_items
from agent0.benchmarks.spec import LETTERS, Item, Protocol
from agent0.errors import UsageError
from agent0.evaluation.judge_client import Claim, Judgement, JudgeSettings, judge_claims
from agent0.evaluation.results import (
    BenchmarkScore,
    Estimate,
    EvaluationReport,
    QuestionScore,
    ResultsError,
    read_questions,
    read_report,
    write_results,
)
from agent0.evaluation.sample_store import read_samples
from agent0.evaluation.scorecard import response_of
from agent0.evaluation.statistics import clustered_mean

JUDGED_FOLDER = "judged"


def judge_run(
    folder: Path, settings: JudgeSettings, names: Sequence[str] = (), source: str | None = None
) -> EvaluationReport:
    """Judge the samples of an evaluation, write a record with both verdicts to its `judged/`, and return that.

    Args:
        folder: output of `agent0 evaluate`.
        settings: the judge.
        names: benchmarks; all that are not generated if none is named.
        source: where their rows are, as for `load_items`.

    Raises:
        UsageError: a benchmark that the evaluation does not have, or none is named and all are generated.
        ResultsError: the record is missing, or its samples or questions are not those of the rows.
        EndpointError: the judge failed; verdicts until then are kept, and no record is written.
    """
    report = read_report(str(folder))
    unknown = [name for name in names if report.score_of(name) is None]
    if unknown:
        ran = ", ".join(score.benchmark for score in report.benchmarks)
        raise UsageError(f"{folder} has no {', '.join(unknown)}; it has {ran}.")
    published = [score.benchmark for score in report.benchmarks if benchmark(score.benchmark).generate is None]
    wanted = names or published
    if not wanted:
        raise UsageError(
            f"{folder} has generated benchmarks only, whose answers need no judge; name one with --benchmarks to have "
            "it judged all the same."
        )
    scores: list[BenchmarkScore] = []
    questions: dict[str, list[QuestionScore]] = {}
    for score in report.benchmarks:
        if score.benchmark in wanted:
            score, questions[score.benchmark] = _judge(folder, report, score, settings, source)
        else:
            questions[score.benchmark] = list(read_questions(str(folder), score).values())
        scores.append(score)
    judged = report.model_copy(update={"benchmarks": tuple(scores)})
    write_results(folder / JUDGED_FOLDER, judged, questions)
    return judged


def _judge(
    folder: Path, report: EvaluationReport, score: BenchmarkScore, settings: JudgeSettings, source: str | None
) -> tuple[BenchmarkScore, list[QuestionScore]]:
    entry = benchmark(score.benchmark)
    items = {item.id: item for item in load_items(entry, source, partial=True)}
    verdicts = read_questions(str(folder), score)
    claims = _claims(folder / entry.name, entry.protocols[report.preset], items, verdicts)
    said: dict[str, dict[int, bool]] = {}
    judgement: Judgement
    for judgement in judge_claims(claims, settings, folder / entry.name):
        said.setdefault(judgement.id, {})[judgement.sample] = judgement.judged is True
    questions = [
        verdict.model_copy(update={"judged": tuple(said[id][sample] for sample in range(len(verdict.correct)))})
        for id, verdict in verdicts.items()
    ]
    mean = clustered_mean([fmean(question.judged or ()) for question in questions])
    return score.model_copy(update={"judge": settings.model, "judged": Estimate.of(mean)}), questions


def _claims(
    folder: Path, protocol: Protocol, items: dict[str, Item], verdicts: dict[str, QuestionScore]
) -> list[Claim]:
    records = {(record.item, record.sample): record for record in read_samples(folder)}
    claims = []
    for id, verdict in verdicts.items():
        for sample, correct in enumerate(verdict.correct):
            item, record = items.get(id), records.get((id, sample))
            if item is None or record is None:
                lacking = "the benchmark's rows" if item is None else f"{folder}"
                raise ResultsError(
                    f"Sample {sample} of question {id} is not in {lacking}; judge with the rows and the folder that "
                    "were evaluated (--data, and the output of agent0 evaluate)."
                )
            given = protocol.rule.extract(response_of(protocol, record), item)
            claims.append(Claim(id, sample, _asked(item), item.gold, given, correct))
    return claims


def _asked(item: Item) -> str:
    """Return the question with its options, without which a letter means nothing."""
    return "\n".join(
        [item.question, *(f"{letter}. {text}" for letter, text in zip(LETTERS, item.options, strict=False))]
    )
