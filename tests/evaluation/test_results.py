from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent0.evaluation.results import (
    BenchmarkScore,
    DecodingRecord,
    Estimate,
    EvaluationReport,
    QuestionScore,
    ResultsError,
    questions_file,
    read_questions,
    read_report,
    write_results,
)

HALF = Estimate(mean=0.5, low=0.1, high=0.9)
SCORE = BenchmarkScore(
    benchmark="tiny",
    rule="the last box",
    questions=2,
    published=200,
    samples=2,
    decoding=DecodingRecord(max_tokens=64, temperature=0.6, top_p=0.95, top_k=-1),
    score=HALF,
    mean_at_k=HALF,
    pass_at_k={1: HALF, 2: HALF},
    questions_file=questions_file("tiny"),
)
REPORT = EvaluationReport(
    name="a",
    model="m",
    preset="paper",
    tool=True,
    seed=0,
    code_version="0",
    started_at=1.0,
    finished_at=2.0,
    benchmarks=(SCORE,),
)
QUESTIONS = [QuestionScore(id="a\u2028b", correct=(True, False)), QuestionScore(id="b", correct=(False, True))]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_results(tmp_path, REPORT, {"tiny": QUESTIONS})
    assert read_report(str(tmp_path)) == REPORT
    assert read_report(str(tmp_path / "evaluation.json")) == REPORT
    for place in (str(tmp_path), f"{tmp_path}/", str(tmp_path / "evaluation.json")):
        assert list(read_questions(place, SCORE).values()) == QUESTIONS
    assert QUESTIONS[0].accuracy == 0.5


def test_a_missing_or_foreign_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"There is no file .*evaluation\.json"):
        read_report(str(tmp_path))
    (tmp_path / "evaluation.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(ResultsError, match="is no EvaluationReport"):
        read_report(str(tmp_path))


@pytest.mark.parametrize("questions", [QUESTIONS[:1], [QUESTIONS[1]] * 2])
def test_verdicts_that_are_not_what_the_report_says_are_refused(tmp_path: Path, questions: list[QuestionScore]) -> None:
    write_results(tmp_path, REPORT, {"tiny": questions})
    with pytest.raises(ResultsError, match="different ids, and the report says 2 questions"):
        read_questions(str(tmp_path), SCORE)


def test_a_benchmark_occurs_once_and_numbers_are_finite() -> None:
    with pytest.raises(ValidationError, match="a benchmark occurs twice"):
        EvaluationReport(**{**REPORT.model_dump(), "benchmarks": (SCORE, SCORE)})
    with pytest.raises(ValidationError):
        Estimate(mean=float("nan"), low=0, high=1)
