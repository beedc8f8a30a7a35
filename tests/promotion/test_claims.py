from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent0.benchmarks.catalogue import benchmark
from agent0.errors import UsageError
from agent0.evaluation.statistics import Interval
from agent0.promotion import claims
from agent0.promotion.claims import Run
from agent0.promotion.paper import COMPARED, GENERAL, JUDGED_BY, MATHEMATICS, ROWS
from agent0.report.intervals import compare

MakeRun = Callable[..., Run]
AGENT0 = next(row for row in ROWS if (row.base, row.method) == ("qwen3-8b-base", "Agent0 iteration 3"))
BASE = next(row for row in ROWS if (row.base, row.method) == ("qwen3-8b-base", "base"))


def test_every_row_has_every_benchmark_and_says_how_it_was_judged() -> None:
    assert set(JUDGED_BY) == set(COMPARED)
    assert all(benchmark(name).dataset.rows for name in COMPARED)
    assert all(len(row.percent) == len(COMPARED) for row in ROWS)


@pytest.mark.parametrize(
    ("row", "mathematics", "overall"), [(BASE, 49.2, 34.5), (AGENT0, 58.2, 42.1)], ids=["base", "agent0"]
)
def test_the_rows_average_to_what_the_paper_prints(row: object, mathematics: float, overall: float) -> None:
    assert isinstance(row, type(BASE))
    figures = dict(zip(COMPARED, row.percent, strict=True))
    mean = sum(figures[name] for name in MATHEMATICS) / len(MATHEMATICS)
    assert mean == pytest.approx(mathematics, abs=0.06)
    assert (mathematics + sum(figures[name] for name in GENERAL)) / 4 == pytest.approx(overall, abs=0.06)


def test_the_derived_interval_is_that_of_the_number_of_questions() -> None:
    interval = AGENT0.interval("amc_2023")
    assert interval is not None
    assert interval.high - interval.mean == pytest.approx(0.150, abs=0.001)
    assert AGENT0.interval("tiny") is None


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ((0.5, 0.45, 0.55), "overlap"),
        ((0.7, 0.61, 0.8), "above"),
        ((0.3, 0.2, 0.39), "below"),
        ((0.7, 0.6, 0.8), "overlap"),
    ],
)
def test_intervals_that_share_a_value_support_no_claim(ours: tuple[float, float, float], expected: str) -> None:
    assert compare(Interval(0.5, 0.4, 0.6), Interval(*ours)) == expected


def test_a_finding_beside_the_paper_says_what_is_and_is_not_told_apart(make_run: MakeRun) -> None:
    run = make_run("ours", {"math_500": (0.95, 1), "amc_2023": (0.62, 4), "bbeh": (0.02, 1), "tiny": (0.9, 1)})
    assert claims.paper_finding(run, AGENT0) == (
        "Beside the paper's Agent0 iteration 3 on qwen3-8b-base, ours is above it on MATH-500; below it on BBEH; not "
        "told apart from it on AMC 2023, where the intervals overlap."
    )
    assert "which ran without the tool that ours had" in claims.paper_finding(run, BASE)


def test_another_preset_is_not_compared_with_the_paper(make_run: MakeRun) -> None:
    run = make_run("ours", {"math_500": (0.95, 1)}, preset="official")
    assert claims.against_paper(run, run.report.benchmarks[0], AGENT0) == "none"
    assert "nothing is compared with it" in claims.paper_finding(run, AGENT0)


def test_runs_are_paired_question_by_question(make_run: MakeRun) -> None:
    first = make_run("first", {"math_500": (0.5, 1), "gsm8k": (0.8, 1)})
    second = make_run("second", {"math_500": (0.56, 1), "gsm8k": (0.8, 1)}, finished_at=1_770_000_000.0)
    (pair,) = claims.pair_runs([first, second])
    assert [claims.result_relation(result) for result in pair.results] == ["above", "overlap"]
    earlier, later = (run.report.benchmarks[0].score.interval() for run in (first, second))
    assert compare(earlier, later) == "overlap", "the paired test sees what the intervals do not"
    assert claims.pair_finding(pair) == (
        "second is above on MATH-500, question by question against first; no difference is shown on GSM8K."
    )


def test_runs_that_were_asked_otherwise_are_not_paired(make_run: MakeRun) -> None:
    first = make_run("first", {"math_500": (0.5, 1)})
    second = make_run("second", {"math_500": (0.9, 1)}, tool=False)
    (pair,) = claims.pair_runs([first, second])
    assert pair.results == ()
    assert "second ran preset paper without the tool" in claims.pair_finding(pair)


def test_a_run_without_its_verdicts_is_shown_but_not_paired(make_run: MakeRun) -> None:
    first = make_run("first", {"math_500": (0.5, 1)})
    second = make_run("second", {"math_500": (0.9, 1)})
    (Path(second.place) / "questions" / "math_500.jsonl").unlink()
    (pair,) = claims.pair_runs([first, second])
    assert "There is no file" in claims.pair_finding(pair)


def test_runs_are_read_oldest_first_and_the_base_is_found_by_the_models_size(make_run: MakeRun) -> None:
    late = make_run("late", {"math_500": (0.5, 1)}, finished_at=1_770_000_000.0)
    early = make_run("early", {"math_500": (0.5, 1)})
    runs = claims.read_runs([late.place, early.place])
    assert [run.report.name for run in runs] == ["early", "late"]
    assert {row.base for row in claims.references(runs)} == {"qwen3-8b-base"}
    assert {row.base for row in claims.references(runs, "qwen3-4b-base")} == {"qwen3-4b-base"}
    with pytest.raises(UsageError, match="no base model 'llama'"):
        claims.references(runs, "llama")
