"""Which held-out questions an iteration won and lost against the one before: the record behind a change of accuracy."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent0.evaluation.results import QUESTIONS_FOLDER, REPORT_FILE, read_questions, read_report
from agent0.promotion.paired_tests import sign_flip
from agent0.report.history import Flips
from agent0.stages.stage_files import VERDICTS_FOLDER


def count_flips(before: Path, after: Path) -> Flips | None:
    """Compare two evaluations question by question, over all benchmarks; None where the first left no verdicts.

    Args:
        before: folder of the evaluation of the executor before the iteration.
        after: folder of the one after it.

    Raises:
        ResultsError: verdicts are missing, or are not those of one run.
    """
    if not (before / REPORT_FILE).is_file():
        return None
    old, new = _verdicts(before), _verdicts(after)
    shared = sorted(old.keys() & new.keys())
    if len(shared) < 2:
        return None
    pairs = [(old[key], new[key]) for key in shared]
    return Flips(
        questions=len(shared),
        lost=sum(first > 0.5 >= second for first, second in pairs),
        won=sum(second > 0.5 >= first for first, second in pairs),
        p_value=sign_flip([first for first, _ in pairs], [second for _, second in pairs]),
    )


def keep_verdicts(evaluation: Path, output: Path) -> None:
    """Copy the verdicts of an evaluation beside the history, where the next iteration finds them."""
    target = output / VERDICTS_FOLDER
    shutil.copytree(evaluation / QUESTIONS_FOLDER, target / QUESTIONS_FOLDER, dirs_exist_ok=True)
    shutil.copyfile(evaluation / REPORT_FILE, target / REPORT_FILE)


def _verdicts(folder: Path) -> dict[tuple[str, str], float]:
    """Return the share of right samples by benchmark and question."""
    return {
        (score.benchmark, id): question.accuracy
        for score in read_report(str(folder)).benchmarks
        for id, question in read_questions(str(folder), score).items()
    }
