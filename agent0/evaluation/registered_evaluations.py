"""Evaluations of registered models: each is recorded on its version, so that a later one finds its champion's.

A tag of the version says where the record lies, under a key that stands for everything two evaluations must share to be
compared. A newer evaluation in the same setting takes the tag over.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agent0.evaluation.results import (
    QUESTIONS_FOLDER,
    REPORT_FILE,
    Count,
    EvaluationReport,
    Record,
    ResultsError,
    Share,
)
from agent0.storage.digest import folder_digest
from agent0.tracking.model_origin import EVALUATION_TAG, Evaluated
from agent0.tracking.model_uri import is_model_uri, parse_model_uri
from agent0.tracking.tracking_location import tracking_uri

if TYPE_CHECKING:
    from agent0.tracking.registry import Client, Version

KEY_LENGTH = 12


class RecordedEvaluation(Record):
    """What a version's tag says of an evaluation.

    `scores` are mean, low and high by benchmark; `questions` counts those of all, and is 0 where the tag does not say.
    """

    place: str
    sha256: str
    run_id: str
    finished_at: float
    preset: str
    tool: bool
    questions: Count = 0
    scores: dict[str, tuple[Share, Share, Share]]


def setting_key(report: EvaluationReport) -> str:
    """Return the same key for two evaluations exactly if the promotion gate can compare them."""
    shared = {
        "preset": report.preset,
        "tool": report.tool,
        "benchmarks": sorted(
            [
                score.benchmark,
                score.questions,
                score.dataset_sha256,
                score.decoding.model_dump(mode="json"),
                score.samples,
                score.rule,
            ]
            for score in report.benchmarks
        ),
    }
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def record_evaluation(
    client: Client, version: Version, report: EvaluationReport, folder: Path, uri: str, run_id: str
) -> None:
    """Write down on a version where the record of its evaluation lies.

    Args:
        client: of the registry.
        version: what was evaluated.
        report: of the evaluation.
        folder: holds the record.
        uri: where the folder is stored for others; a local path where it is not, and then the record is copied into the
            artifacts of `run_id` unless whoever uses this MLflow reads this disk as well.
        run_id: MLflow run that the record belongs to.

    Raises:
        RegistryError: the evaluation is of another model than the version's, or MLflow refuses or does not answer.
    """
    from agent0.tracking.model_fetching import check_digest
    from agent0.tracking.version_scores import write_scores

    check_digest(version, report.revision or "", f"the evaluation {folder}")
    write_scores(client, version, evaluation_of(report, folder, uri, run_id), run_id)


def evaluation_of(
    report: EvaluationReport, folder: Path, uri: str, run_id: str, made_by: tuple[int, str] = (0, "")
) -> Evaluated:
    """Return what is written of an evaluation on the version that was evaluated.

    Args:
        report: of the evaluation.
        folder: holds the record.
        uri: where the folder is stored for others.
        run_id: of what ran it.
        made_by: round and evolution that made the model, if one did.
    """
    recorded = RecordedEvaluation(
        place="",
        sha256=folder_digest(folder, of_a_record),
        run_id=run_id,
        finished_at=report.finished_at,
        preset=report.preset,
        tool=report.tool,
        questions=sum(score.questions for score in report.benchmarks),
        scores={s.benchmark: (s.score.mean, s.score.low, s.score.high) for s in report.benchmarks},
    )
    return Evaluated(
        model_sha256=report.revision or "",
        iteration=made_by[0],
        evolution_run_id=made_by[1],
        key=setting_key(report),
        record=recorded.model_dump(mode="json"),
        folder=folder,
        uri=uri,
        files=(QUESTIONS_FOLDER, REPORT_FILE),
    )


def record_on_version(report: EvaluationReport, folder: Path, model: str, uri: str = "", run_id: str = "") -> None:
    """Record an evaluation on the version that the URI `model` names; a model from elsewhere has none.

    Args:
        report: of the evaluation.
        folder: holds the record.
        model: what was evaluated.
        uri: see `record_evaluation`; the folder itself if not given.
        run_id: see `record_evaluation`; the run that trained the model if not given.

    Raises:
        RegistryError: the evaluation is of another model than the version's, or MLflow refuses or does not answer.
    """
    if not is_model_uri(model):
        return
    from agent0.tracking.mlflow_runs import open_client  # mlflow takes seconds to import
    from agent0.tracking.registry import resolve

    client = open_client(tracking_uri())
    version = resolve(client, parse_model_uri(model))
    record_evaluation(client, version, report, folder, uri or str(folder), run_id or str(version.run_id))


def recorded_evaluations(version: Version) -> dict[str, RecordedEvaluation]:
    """Return the evaluations of a version by setting, newest first.

    Raises:
        ResultsError: a tag is damaged.
    """
    found = {}
    for tag, value in version.tags.items():
        if tag.startswith(EVALUATION_TAG):
            try:
                found[tag.removeprefix(EVALUATION_TAG)] = RecordedEvaluation.model_validate_json(value)
            except ValidationError as error:
                raise ResultsError(
                    f"The tag {tag} of {version.name} version {version.version} is damaged ({error.errors()[0]['msg']})"
                    "; remove it, and evaluate the version again."
                ) from error
    return dict(sorted(found.items(), key=lambda item: -item[1].finished_at))


@contextmanager
def fetched_record(client: Client, recorded: RecordedEvaluation) -> Iterator[Path]:
    """Yield a folder with a recorded evaluation for the length of the block, checked against its digest.

    Raises:
        StorageError: it is not there, is not what was recorded, or the store refuses.
        RegistryError: MLflow does not give it.
    """
    from agent0.tracking.model_fetching import fetch

    with tempfile.TemporaryDirectory(prefix="agent0-evaluation-") as temporary:
        target = Path(temporary) / "record"
        fetch(client, recorded.place, target, recorded.sha256, of_a_record)
        yield target


def of_a_record(path: str) -> bool:
    """Say whether a file of an evaluation's folder is part of its record."""
    return path == REPORT_FILE or path.startswith(f"{QUESTIONS_FOLDER}/")
