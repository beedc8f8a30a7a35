"""The record of an evaluation: one model, one preset, the scores of each benchmark, and every question's verdicts.

The runner writes it, `agent0 compare` and the promotion gate read it. A folder holds `evaluation.json` (an
`EvaluationReport`) and, for each benchmark, a JSON Lines file of `QuestionScore`, which is what pairs two models.
Responses are not here; they are in the runner's logs. Shares lie in 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent0.benchmarks.spec import file_name
from agent0.errors import Agent0Error
from agent0.evaluation import statistics
from agent0.storage.atomic_file import atomic_write, write_json
from agent0.storage.text_files import UnreadableError, parse_model, read_text
from agent0.storage.uri_files import read_file

REPORT_FILE = "evaluation.json"
QUESTIONS_FOLDER = "questions"
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
_R = TypeVar("_R", bound=BaseModel)


class ResultsError(Agent0Error):
    """The record of an evaluation is missing or is not what it should be."""


class Record(BaseModel):
    """Base of the records: frozen, unknown keys rejected, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(Record):
    """A share with its 95 % interval, clustered by question."""

    mean: Share
    low: Share
    high: Share

    @classmethod
    def of(cls, interval: statistics.Interval) -> Estimate:
        """Return the record of an interval."""
        return cls(mean=interval.mean, low=interval.low, high=interval.high)

    def interval(self) -> statistics.Interval:
        """Return it as the statistics use it."""
        return statistics.Interval(self.mean, self.low, self.high)


class DecodingRecord(Record):
    """Every parameter of the generation, as it was used; the fields are those of `spec.Decoding`."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stop: tuple[str, ...] = ()
    max_turns: int = 1
    observation_tokens: int = 0


class Cost(Record):
    """What a benchmark took, over all its samples."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    tool_calls: Count = 0
    seconds: float = Field(0.0, ge=0, description="Wall time.")
    gpu_hours: float | None = Field(None, ge=0, description="None where no GPU was used or its number is not known.")


class GenerationRecord(Record):
    """What a generated benchmark's questions come from: the same three give the same questions."""

    generator: str = Field(description="What made them, with its version.")
    seed: int
    per_group: int = Field(ge=1, description="Questions of each level or family.")


class BenchmarkScore(Record):
    """The figures of one benchmark.

    `score` is the protocol's headline (mean@k, or BBEH's harmonic mean) by its rule; where a model judged as well,
    `judged` stands beside it and never replaces it.
    """

    benchmark: str = Field(description="Name in the catalogue.")
    rule: str = Field(description="Who says how answers are read and judged: `spec.Rule.source`.")
    aggregation: Literal["micro", "harmonic"] = "micro"
    questions: int = Field(ge=1, description="n, questions asked.")
    published: int = Field(ge=1, description="Questions of the whole benchmark; more than n for a subset.")
    samples: int = Field(ge=1, description="k, samples of each question.")
    decoding: DecodingRecord
    score: Estimate
    mean_at_k: Estimate
    pass_at_k: dict[int, Estimate] = Field(default_factory=dict, description="By k; unbiased.")
    maj_at_k: Estimate | None = None
    judge: str | None = Field(None, description="Model that judged as well; None where none did.")
    judged: Estimate | None = Field(
        None, description="Mean@k by the judge alone; see `agent0.evaluation.judge_client`."
    )
    rates: dict[str, Estimate] = Field(
        default_factory=dict, description="Shares of samples: invalid, truncated, timeout, error."
    )
    others: dict[str, Estimate] = Field(default_factory=dict, description="Other rules, and 'with guessing'.")
    macro: dict[str, float] = Field(default_factory=dict, description="Mean over the groups of a kind.")
    groups: dict[str, dict[str, Estimate]] = Field(default_factory=dict, description="By kind and group.")
    distinct_samples: float | None = Field(None, description="Mean number of different responses a question.")
    cost: Cost = Cost()
    dataset_revision: str | None = Field(
        None, description="Commit of the rows by the hub or the mirror's manifest; None where nothing says."
    )
    dataset_sha256: str | None = Field(None, description="`spec.content_hash` of all published items.")
    generated: GenerationRecord | None = Field(None, description="None for a published benchmark.")
    questions_file: str = Field(description="JSON Lines of QuestionScore, relative to the report.")


class QuestionScore(Record):
    """The verdicts on one question's samples, in sample order; `id` is that of `spec.Item`."""

    id: str
    correct: tuple[bool, ...] = Field(min_length=1)
    judged: tuple[bool, ...] | None = None
    group: str = Field("", description="Task of BBEH, for its harmonic mean; stratum of a subset.")

    @property
    def accuracy(self) -> float:
        """Share of the samples that are right by the rule."""
        return sum(self.correct) / len(self.correct)


class EvaluationReport(Record):
    """One evaluation of one model under one preset."""

    format: Literal[1] = 1
    name: str = Field(description="As in tables, such as 'agent0-8b iteration 3'.")
    model: str = Field(description="Hub id, folder or URI of the model.")
    revision: str | None = Field(None, description="Commit or digest of the weights.")
    preset: Literal["paper", "official"]
    tool: bool = Field(description="Whether the model had the Python tool.")
    seed: int
    code_version: str
    backend: str = Field("", description="Engine, its version, and what else decides the numbers (dtype, GPUs).")
    started_at: float = Field(ge=0, description="Seconds since 1970, UTC.")
    finished_at: float = Field(ge=0, description="Seconds since 1970, UTC.")
    benchmarks: tuple[BenchmarkScore, ...]

    @model_validator(mode="after")
    def _once(self) -> EvaluationReport:
        names = [score.benchmark for score in self.benchmarks]
        if len(set(names)) != len(names):
            raise ValueError(f"a benchmark occurs twice: {', '.join(names)}")
        return self

    def score_of(self, benchmark: str) -> BenchmarkScore | None:
        """Return the score of a benchmark, or None where it was not run."""
        return next((score for score in self.benchmarks if score.benchmark == benchmark), None)


def questions_file(benchmark: str) -> str:
    """Return where the verdicts of a benchmark lie, relative to the report."""
    return f"{QUESTIONS_FOLDER}/{file_name(benchmark)}.jsonl"


def write_results(
    folder: Path, report: EvaluationReport, questions: Mapping[str, Sequence[QuestionScore]] | None = None
) -> None:
    """Write the verdicts by benchmark, then the report, which is the last so that nothing in it is missing."""
    for name, scores in (questions or {}).items():
        with atomic_write(folder / questions_file(name)) as file:
            file.writelines(score.model_dump_json(exclude_none=True) + "\n" for score in scores)
    write_json(folder / REPORT_FILE, report.model_dump(mode="json"))


def read_report(place: str) -> EvaluationReport:
    """Read the report of a folder, local or `s3://`, or of an `evaluation.json`.

    Raises:
        ResultsError: none there, or not one.
        StorageError: the store refuses or does not answer.
    """
    uri = place if place.endswith(".json") else f"{place.rstrip('/')}/{REPORT_FILE}"
    return _parse(EvaluationReport, _text(uri), uri)


def read_questions(place: str, score: BenchmarkScore) -> dict[str, QuestionScore]:
    """Read the verdicts of a benchmark by question id, from beside the report at `place`.

    Raises:
        ResultsError: none there, a line that is not one, an id twice, or not as many as the report says.
        StorageError: the store refuses or does not answer.
    """
    folder = place.rpartition("/")[0] or "." if place.endswith(".json") else place.rstrip("/")
    uri = f"{folder}/{score.questions_file}"
    lines = [line for line in _text(uri).split("\n") if line.strip()]
    parsed = [_parse(QuestionScore, line, f"line {number} of {uri}") for number, line in enumerate(lines, start=1)]
    by_id = {question.id: question for question in parsed}
    if len(by_id) != len(parsed) or len(parsed) != score.questions:
        raise ResultsError(
            f"{uri} has {len(parsed)} lines with {len(by_id)} different ids, and the report says {score.questions} "
            "questions; evaluate the benchmark again."
        )
    return by_id


def _text(uri: str) -> str:
    with read_file(uri) as path, _results():
        return read_text(path, uri, mended_by="name the output folder of a finished `agent0 evaluate`")


def _parse(kind: type[_R], text: str, place: str) -> _R:
    advice = "it is damaged, or of another version of `agent0 evaluate`"
    with _results():
        return parse_model(text, kind, place, noun=kind.__name__, mended_by=advice)


@contextmanager
def _results() -> Iterator[None]:
    """Tell a file of results that cannot be read from wrong use: whoever reads many goes on with the others."""
    try:
        yield
    except UnreadableError as error:
        raise ResultsError(str(error)) from error
