"""Flips: which held-out questions an executor lost and won, from the verdicts of two evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent0.evaluation.results import (
    BenchmarkScore,
    DecodingRecord,
    Estimate,
    EvaluationReport,
    QuestionScore,
    questions_file,
    write_results,
)
from agent0.stages.flips import count_flips, keep_verdicts
from agent0.stages.stage_files import VERDICTS_FOLDER

ESTIMATE = Estimate(mean=0.5, low=0.4, high=0.6)


def evaluated(folder: Path, verdicts: Mapping[str, Sequence[Sequence[bool]]]) -> Path:
    """Write the record of an evaluation with these verdicts by benchmark and question."""
    scores = tuple(
        BenchmarkScore(
            benchmark=name,
            rule="test",
            questions=len(asked),
            published=len(asked),
            samples=len(asked[0]),
            decoding=DecodingRecord(max_tokens=1, temperature=1, top_p=1, top_k=0),
            score=ESTIMATE,
            mean_at_k=ESTIMATE,
            questions_file=questions_file(name),
        )
        for name, asked in verdicts.items()
    )
    report = EvaluationReport(
        name="executor",
        model="m",
        preset="paper",
        tool=True,
        seed=0,
        code_version="0",
        started_at=0,
        finished_at=1,
        benchmarks=scores,
    )
    questions = {
        name: [QuestionScore(id=str(number), correct=tuple(right)) for number, right in enumerate(asked)]
        for name, asked in verdicts.items()
    }
    write_results(folder, report, questions)
    return folder


RIGHT, HALF, WRONG = (True, True), (True, False), (False, False)


def test_a_question_flips_where_most_of_its_samples_do(tmp_path: Path) -> None:
    before = evaluated(tmp_path / "before", {"tiny": [RIGHT, RIGHT, WRONG, HALF, HALF, WRONG]})
    after = evaluated(tmp_path / "after", {"tiny": [RIGHT, WRONG, RIGHT, RIGHT, WRONG, HALF]})
    flips = count_flips(before, after)
    assert flips is not None
    assert (flips.questions, flips.lost, flips.won) == (6, 1, 2)
    assert flips.p_value > 0.5


def test_all_benchmarks_count_and_a_clear_gain_has_a_small_p_value(tmp_path: Path) -> None:
    before = evaluated(tmp_path / "before", {"tiny": [WRONG] * 6, "gym:small": [WRONG] * 6})
    after = evaluated(tmp_path / "after", {"tiny": [RIGHT] * 6, "gym:small": [RIGHT] * 6})
    flips = count_flips(before, after)
    assert flips is not None
    assert (flips.lost, flips.won) == (0, 12)
    assert flips.p_value < 0.001


def test_where_no_verdicts_were_kept_nothing_is_said(tmp_path: Path) -> None:
    after = evaluated(tmp_path / "after", {"tiny": [RIGHT, WRONG]})
    assert count_flips(tmp_path / "nothing", after) is None


def test_verdicts_kept_beside_a_history_are_what_the_next_iteration_compares_with(tmp_path: Path) -> None:
    first = evaluated(tmp_path / "first", {"tiny": [RIGHT, WRONG]})
    keep_verdicts(first, tmp_path / "history")
    second = evaluated(tmp_path / "second", {"tiny": [WRONG, RIGHT]})
    flips = count_flips(tmp_path / "history" / VERDICTS_FOLDER, second)
    assert flips is not None
    assert (flips.lost, flips.won) == (1, 1)
