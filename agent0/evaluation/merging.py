"""Evaluations of one model, a benchmark each, put together as one record; nothing is scored again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent0.errors import UsageError
from agent0.evaluation.results import EvaluationReport, read_questions, read_report, write_results

_SHARED = ("revision", "preset", "tool", "seed", "code_version")


def merge_evaluations(places: Sequence[str], name: str, model: str, folder: Path) -> EvaluationReport:
    """Write the record of all benchmarks of `places` to `folder`, in their order.

    Args:
        places: folders of evaluations, local or `s3://`.
        name: of the model in tables.
        model: where the model came from; the parts only know the copy that they were given.
        folder: gets the report and the verdicts on every question.

    Raises:
        UsageError: none, a benchmark twice, or evaluations of different models or in different settings.
        ResultsError: a place holds no evaluation.
        StorageError: a store refuses or does not answer.
    """
    if not places:
        raise UsageError("There is no evaluation to put together; evaluate at least one benchmark.")
    parts = [read_report(place) for place in places]
    for field in _SHARED:
        values = {str(getattr(part, field)) for part in parts}
        if len(values) > 1:
            raise UsageError(
                f"The evaluations differ in {field} ({', '.join(sorted(values))}) and are not one; put together only "
                "those of one model in one setting."
            )
    scores = [(place, score) for place, part in zip(places, parts, strict=True) for score in part.benchmarks]
    names = [score.benchmark for _, score in scores]
    if len(set(names)) != len(names):
        raise UsageError(f"A benchmark was evaluated twice ({', '.join(sorted(names))}); leave one of them out.")
    report = parts[0].model_copy(
        update={
            "name": name,
            "model": model,
            "backend": " | ".join(dict.fromkeys(part.backend for part in parts)),
            "started_at": min(part.started_at for part in parts),
            "finished_at": max(part.finished_at for part in parts),
            "benchmarks": tuple(score for _, score in scores),
        }
    )
    write_results(
        folder, report, {score.benchmark: list(read_questions(place, score).values()) for place, score in scores}
    )
    return report
