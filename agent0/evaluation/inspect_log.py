"""Logs of all samples in the format of inspect_ai, which `inspect view` opens: turns, programs, outputs, verdicts.

They are written when a benchmark is finished. inspect_ai runs samples only where it is asked to (`agent0.inspect`): its
scheduler costs more processor time a sample than the embedded model takes to draw one. Nor does it write these logs,
since building and validating its objects takes as long as drawing: `inspect_sample` makes the members of the
archive, and only the header goes through inspect_ai's types. What it reads back is tested with its own reader, of the
version that `pyproject.toml` pins.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile

from agent0.benchmarks.spec import file_name
from agent0.errors import NotInstalledError
from agent0.evaluation.assignments import Assignment
from agent0.evaluation.inspect_sample import SampleWriter
from agent0.evaluation.results import BenchmarkScore
from agent0.evaluation.scorecard import Outcome
from agent0.extras import installing
from agent0.storage.atomic_file import atomic_path

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

_COMPRESSION = 1  # more takes three times as long for a tenth of the size


def require_inspect() -> None:
    """Refuse to promise logs that cannot be written.

    Raises:
        NotInstalledError: inspect_ai is not installed.
    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise NotInstalledError(
            f"Logs for `inspect view` need inspect_ai, which is not installed; {installing('eval')}, or set "
            "evaluation.logs=false."
        )


def write_log(
    folder: Path, model: str, assignment: Assignment, score: BenchmarkScore, outcomes: Sequence[Outcome]
) -> Path:
    """Write all samples of a benchmark as one `.eval` file and return its path; an interrupted one is never seen."""
    from pydantic_core import to_json

    path = folder / f"{file_name(assignment.benchmark.name)}.eval"
    questions = {question.item.id: question for question in assignment.questions}
    ended = datetime.now(UTC)
    writer = SampleWriter(assignment, model, ended.isoformat(timespec="seconds"))
    summaries = []
    with (
        atomic_path(path) as temporary,
        ZipFile(temporary, "w", ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive,
    ):
        for outcome in outcomes:
            question = questions[outcome.item.id]
            for record, scored in zip(outcome.records, outcome.scored, strict=True):
                sample = writer.sample(question, record, scored)
                archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", to_json(sample))
                summaries.append(writer.summary(sample))
        archive.writestr("summaries.json", to_json(summaries))
        header = _header(model, assignment, score, len(summaries), ended)
        archive.writestr("header.json", header.model_dump_json(exclude_none=True))
    return path


def _header(model: str, assignment: Assignment, score: BenchmarkScore, samples: int, ended: datetime) -> EvalLog:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec, EvalStats
    from inspect_ai.model import ModelUsage

    headline = {"score": score.score, "mean@k": score.mean_at_k, **score.rates}
    name = assignment.benchmark.name
    now = ended.isoformat(timespec="seconds")
    decoding = score.decoding.model_dump(mode="json")
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=now,
            run_id=score.dataset_sha256 or name,
            task_id=name,
            task=name,
            model=f"agent0/{model}",
            dataset=EvalDataset(
                name=assignment.benchmark.dataset.hub_id or assignment.benchmark.name,
                samples=score.published,
                sample_ids=[question.item.id for question in assignment.questions],
            ),
            config=EvalConfig(epochs=assignment.samples),
            task_args={"tool": assignment.tool, "seed": assignment.seed, **decoding},
            metadata={"rule": score.rule, "aggregation": score.aggregation, "content_sha256": score.dataset_sha256},
        ),
        results=EvalResults(
            total_samples=samples,
            completed_samples=samples,
            scores=[
                EvalScore(
                    name="rule",
                    scorer="rule",
                    metrics={key: EvalMetric(name=key, value=estimate.mean) for key, estimate in headline.items()},
                    metadata={key: [estimate.low, estimate.high] for key, estimate in headline.items()},
                )
            ],
        ),
        stats=EvalStats(
            started_at=(ended - timedelta(seconds=score.cost.seconds)).isoformat(timespec="seconds"),
            completed_at=now,
            model_usage={
                f"agent0/{model}": ModelUsage(
                    input_tokens=score.cost.prompt_tokens,
                    output_tokens=score.cost.completion_tokens,
                    total_tokens=score.cost.prompt_tokens + score.cost.completion_tokens,
                )
            },
        ),
    )
