"""The records that stages hand to each other: one pydantic class per schema.

Stages keep them as sharded Parquet (`agent0.storage.shards`, which derives the columns from the fields here). What a
person writes, known tasks, is JSON Lines and is read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent0.errors import Agent0Error

Finish = Literal["eos", "length", "turns"]


class Stored(str):
    """The Arrow type of a column, or of its elements, where it is narrower than Python's own type."""

    __slots__ = ()


Int32 = Annotated[int, Stored("int32")]
Int8 = Annotated[int, Stored("int8")]
Float32 = Annotated[float, Stored("float32")]


class Record(BaseModel):
    """Base of all records: frozen, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


R = TypeVar("R", bound=Record)


class ToolCall(Record):
    """One program that a model wrote for a tool, and what it was shown of the result."""

    code: str
    observation: str
    status: str = Field(description="The sandbox's or the tool's status, or 'no_code' where the block was empty.")
    tool: str = Field("python", description="Label of the block, by which the tool was called.")


class Trajectory(Record):
    """One multi-turn rollout, token in and token out.

    `completion_ids` are model and tool tokens in order; `mask` is aligned with it, 1 for a token that the model drew
    and 0 for a token of an observation. `logprobs` is aligned too (0.0 on observations), or None where the backend
    gives none.
    """

    prompt_ids: tuple[Int32, ...]
    completion_ids: tuple[Int32, ...]
    mask: tuple[Int8, ...]
    logprobs: tuple[Float32, ...] | None = None
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish
    answer: str | None = Field(
        None,
        description=(
            "Content of the last \\boxed{} that the model wrote outside programs and thoughts; where labels are "
            "verified, once it is settled, the known answer if that is right, else None."
        ),
    )

    @property
    def truncated(self) -> bool:
        """Whether the trajectory ran out of its token or turn budget."""
        return self.finish != "eos"


class Condition(Record):
    """What a proposal is asked for, beyond being one: a topic, and questions to go by; empty: nothing of the kind."""

    topic: str = ""
    examples: tuple[str, ...] = ()


class ProposalOutcome(Record):
    """What is kept of a proposal: its valid question or the reason why there is none."""

    question: str | None
    rejection: str | None
    topic: str = Field("", description="Topic that it was asked for; empty: none.")
    answer: str | None = Field(None, description="The proposer's own answer.")
    tool_calls: int


class Task(Record):
    """A question that the curriculum agent proposed."""

    id: str
    iteration: int
    question: str
    topic: str = Field("", description="Topic that the curriculum agent was asked for; empty: none.")
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
    derivations: Int32 = Field(0, ge=0, description="Different derivations of that answer; `answers.derivations`.")
    grounded: float = Field(0.0, ge=0, le=1, description="Share of the samples with that answer that are grounded.")
    tenable: tuple[str, ...] = Field(
        (), description="Of a task kept for its refused answers: those that are not; `answers.refusal`."
    )
    well_posed: bool | None = Field(
        None, description="The question judge's verdict; None where it was not asked or gave none."
    )
    spoiled_well_posed: bool | None = Field(
        None, description="Of a task that audits the vote: its verdict on the question without its last number."
    )
    known_answer: str | None = Field(
        None, description="The truth where the domain knows it; for the audit, unless filtering.truth says otherwise."
    )
    first_executor_pass_rate: float | None = Field(
        None,
        description="Share of the first executor's answers that are right (by the truth, else the pseudo-label).",
    )


class SolvedTask(Record):
    """A trajectory of one task, kept to be read and logged."""

    task_id: str
    trajectory: Trajectory


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Read a JSON Lines file in UTF-8, one record a line.

    Raises:
        Agent0Error: the file is missing, or a line does not fit `kind`.
    """
    if not path.is_file():
        raise Agent0Error(f"There is no {kind.__name__} file at {path}; give the path of one.")
    records = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                records.append(kind.model_validate_json(line))
            except ValidationError as error:
                raise Agent0Error(
                    f"Line {number} of {path} is no {kind.__name__}: {error.errors()[0]['msg']}. "
                    f"A line is a JSON object with the fields {', '.join(kind.model_fields)}."
                ) from error
    return records


class StageReport(Record):
    """What a finished stage says of itself, kept beside its output as `stage.json`."""

    stage: str
    iteration: int
    seconds: float = Field(description="Its own time and, where it collects what pods did, that of the slowest.")
    peak_memory_mb: float = Field(description="Largest resident size of the stage's process, MiB.")
    metrics: dict[str, float]
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    log: tuple[dict[str, float], ...] = ()
    warnings: tuple[str, ...] = ()
    undelivered: str = Field("", description="File with what MLflow had not taken when the stage ended; '' if nothing.")
