"""The tasks that an evolution kept, with their voted labels, as a data set for a hub, and its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent0.errors import UsageError
from agent0.hub.card_text import METHOD, joined, metadata, rounds_table, rows
from agent0.hub.hub_repository import CARD_FILE
from agent0.report.history import History
from agent0.stages.open_history import newest_history
from agent0.stages.stage_files import KEPT_FOLDER
from agent0.storage.shards import iterate_records
from agent0.types import LabelledTask

DATA_FILE = "data/train-00000-of-00001.parquet"
FIELDS = {
    "question": "as the curriculum agent wrote it",
    "answer": "pseudo-label: the executor's majority answer, which may be wrong",
    "self_consistency": "share of the executor's samples with that answer",
    "samples": "how many that is a share of",
    "known_answer": "the true answer where a program can tell it, else null",
    "grounded": "share of the samples with that answer whose programs printed it",
    "tool_calls": "mean calls of the executor's tool per sample",
    "topic": "that the proposal was asked for; empty: none",
    "round": "of the evolution",
    "id": "of the task",
}


def history_folder(run: Path) -> Path:
    """Return the folder of the newest finished round's history: `run` itself, or one among a run's artifacts.

    Raises:
        UsageError: there is none.
    """
    folder = run if (run / KEPT_FOLDER).is_dir() else newest_history(run)
    if folder is None:
        raise UsageError(
            f"{run} holds no tasks that an evolution kept; give the folder of a run of `agent0 evolve` with a finished "
            "round, or the output of one of its stages iteration_report."
        )
    return folder


def write_rows(folder: Path, target: Path) -> int:
    """Write the kept tasks of a history's folder as Parquet, a row each, and return their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = [_row(task) for task in iterate_records(LabelledTask, folder / KEPT_FOLDER)]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("question", "answer")),
            ("self_consistency", pa.float64()),
            ("samples", pa.int32()),
            ("known_answer", pa.string()),
            *((name, pa.float64()) for name in ("grounded", "tool_calls")),
            ("topic", pa.string()),
            ("round", pa.int32()),
            ("id", pa.string()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(found, schema), target)
    return len(found)


def card(history: History, count: int, licence: str) -> str:
    """Return the card of the tasks of an evolution, in Markdown behind its metadata."""
    head = metadata(
        license=licence,
        task_categories=["question-answering"],
        tags=["agent0", "synthetic"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": DATA_FILE}]}],
    )
    config = history.config
    made = (
        f"{count} tasks of {len(history.iterations) - 1} rounds of an evolution of `{config['model']['source']}` in "
        f"the domain `{config['rollout']['domain']}`: recipe `{history.recipe}`, seed {history.seed}, code "
        f"`{history.code_version}`. Kept are those on which the executor's votes lay in the band of the recipe."
    )
    return joined(
        f"{head}\n# Tasks of {history.title}, seed {history.seed}",
        METHOD,
        made,
        "**The labels are votes, not truths.** Where the truth is known, the table says how many are right.",
        rounds_table(history),
        rows(("column", "what it is"), [(f"`{name}`", told) for name, told in FIELDS.items()]),
    )


def files(data: Path, text: str) -> Mapping[str, Path | str]:
    """Return what is pushed, by name."""
    return {DATA_FILE: data, CARD_FILE: text}


def _row(task: LabelledTask) -> dict[str, object]:
    return {
        "question": task.task.question,
        "answer": task.vote.answer,
        "self_consistency": task.vote.self_consistency,
        "samples": task.vote.k,
        "known_answer": task.known_answer,
        "grounded": task.grounded,
        "tool_calls": task.tool_calls,
        "topic": task.task.topic,
        "round": task.task.iteration,
        "id": task.task.id,
    }
