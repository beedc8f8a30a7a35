"""The records that stages hand to each other: one pydantic class per schema, with its writer and reader beside it.

A file of records is JSON Lines in UTF-8, one record a line, written to a temporary name and moved into place, so a
file that exists is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent0.errors import Agent0Error
from agent0.storage.atomic import atomic_write

Finish = Literal["eos", "length", "turns"]


class Record(BaseModel):
    """Base of all records: frozen, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


R = TypeVar("R", bound=Record)


class ToolCall(Record):
    """One program that a model wrote, and what it was shown of the result."""

    code: str
    observation: str
    status: str = Field(description="The sandbox's status, or 'no_code' where the turn held no complete code block.")


class Trajectory(Record):
    """One multi-turn rollout, token in and token out.

    `completion_ids` are model and tool tokens in order; `mask` is aligned with it, 1 for a token that the model drew
    and 0 for a token of an observation. `logprobs` is aligned too (0.0 on observations), or None where the backend
    gives none.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    mask: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish
    answer: str | None = Field(None, description="Content of the last \\boxed{} of the text.")

    @property
    def truncated(self) -> bool:
        """Whether the trajectory ran out of its token or turn budget."""
        return self.finish != "eos"


class Task(Record):
    """A question that the curriculum agent proposed."""

    id: str
    iteration: int
    question: str
    proposer_answer: str | None = Field(None, description="The proposer's own answer; logged, never used as a label.")
    proposer_tool_calls: int = 0
    audit_answer: str | None = Field(
        None,
        description="The known answer of a task that was mixed in to audit the vote; such a task is not trained on.",
    )


class KnownTask(Record):
    """A question with its true answer, from a person."""

    question: str
    answer: str


class Vote(Record):
    """The outcome of a majority vote over k answers; a missing answer counts in k and can never win."""

    answer: str | None
    count: int = Field(ge=0)
    k: int = Field(ge=1)
    clusters: int = Field(ge=0)

    @property
    def self_consistency(self) -> float:
        """p-hat: the largest cluster's share of all k samples."""
        return self.count / self.k


class LabelledTask(Record):
    """A task with the executor's vote on it; the pseudo-label is `vote.answer`."""

    task: Task
    vote: Vote
    answers: tuple[str | None, ...]
    tool_calls: float = Field(description="Mean tool calls per trajectory.")
    truncated: float = Field(description="Share of trajectories out of budget.")
    known_answer: str | None = Field(None, description="The truth where the world knows it; for the label audit only.")
    first_executor_pass_rate: float | None = Field(
        None,
        description="Share of the first executor's answers that are right (by the truth, else the pseudo-label).",
    )


class SolvedTask(Record):
    """A trajectory of one task, kept to be read and logged."""

    task_id: str
    trajectory: Trajectory


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write `records` to `path` as JSON Lines, whole or not at all."""
    with atomic_write(path) as file:
        for record in records:
            file.write(record.model_dump_json() + "\n")


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Read a file that `write_records` wrote.

    Raises:
        Agent0Error: the file is missing, or a line does not fit `kind`.
    """
    if not path.is_file():
        raise Agent0Error(f"There is no {kind.__name__} file at {path}; run the stage that writes it first.")
    records = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                records.append(kind.model_validate_json(line))
            except ValidationError as error:
                raise Agent0Error(
                    f"Line {number} of {path} is no {kind.__name__}: {error.errors()[0]['msg']}. "
                    "The file comes from another version; run the stage that writes it again."
                ) from error
    return records
