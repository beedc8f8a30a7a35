"""The history of an evolution: everything the report shows, as one JSON-able record.

Stages fill it, `agent0.report.evolution_page` and `agent0.cli.report_view` read it. It holds numbers and a
few trajectories, no weights and no data sets, and imports neither matplotlib nor jinja2.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agent0.ablations import active_ablations

DIGITS = 6


HISTORY_FILE = "history.json"
"""Its name in the folder of a run, in a store and among an MLflow run's artifacts."""


class Entry(BaseModel):
    """Base of the history's records: frozen, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(Entry):
    """Accuracy on a set of held-out questions, with its 95 % interval; shares lie in 0..1."""

    accuracy: float
    ci_low: float
    ci_high: float
    n: int = Field(description="Questions.")
    tool_calls: float = Field(description="Mean tool calls per trajectory.")
    self_consistency: float = Field(description="Mean share of the largest answer cluster.")


class ExecutorScores(Score):
    """The executor's score over all levels, and each level's own."""

    samples: int = Field(description="Trajectories per question.")
    levels: dict[str, Score] = Field(description="By level name, such as '2x1' (2 operands of 1 digit), easiest first.")

    def metrics(self) -> dict[str, float]:
        """Return the numbers by which MLflow shows the scores."""
        return {
            "eval/accuracy": self.accuracy,
            "eval/accuracy_low": self.ci_low,
            "eval/accuracy_high": self.ci_high,
            "eval/tool_calls": self.tool_calls,
            **{f"eval/accuracy_{name}": level.accuracy for name, level in self.levels.items()},
        }


class Flips(Entry):
    """Held-out questions whose verdict changed in an iteration; right is a question with most of its samples right."""

    questions: int
    lost: int = Field(description="Right before, wrong after.")
    won: int = Field(description="Wrong before, right after.")
    p_value: float = Field(description="Two-sided, of the paired test by sign flips on each question's accuracy.")


class ProposalStatistics(Entry):
    """What the curriculum agent proposed in one iteration, and what the filter made of it."""

    generated: int
    valid: int
    kept: int
    first_executor_pass_rate: float | None = Field(description="Share the first executor (the base model) gets right.")
    first_executor_pass_rate_low: float | None
    first_executor_pass_rate_high: float | None
    probed: int = Field(description="Tasks that the first executor was given.")
    self_consistency: float = Field(description="Mean p-hat.")
    tool_calls: float = Field(description="Mean executor tool calls per trajectory.")
    label_accuracy: float | None = Field(
        description="Share of pseudo-labels in the band equal to the known truth, if any is."
    )
    label_accuracy_low: float | None
    label_accuracy_high: float | None
    labelled_with_truth: int = Field(description="Tasks in the band, kept or for the audit, whose truth is known.")
    label_accuracy_by: dict[str, float] = Field(
        default={}, description="Of all labels, by p-hat ('p0.3_0.5') and by evidence ('agreed', 'grounded', …)."
    )
    kept_wrong: float | None = Field(None, description="Share of kept labels that are wrong, if any truth is known.")
    kept_novelty: float | None = Field(
        None, description="Mean of 1 - BLEU of a kept question with the nearest of all earlier iterations."
    )
    kept_repeated: float | None = Field(
        None, description="Share of kept questions nearer to an earlier one than like questions of a batch are."
    )
    self_consistency_histogram: dict[str, int] = Field(description="Tasks by p-hat = count/k, keys such as '0.3'.")
    rejections: dict[str, int] = Field(description="Why proposals were not valid.")
    filtered: dict[str, int] = Field(description="Why valid tasks were not kept.")
    repetition: float = Field(description="Mean share of a task's cluster in the pool.")
    distinct: float = Field(description="Share of distinct questions among the valid ones.")
    clusters: float | None = Field(None, description="Clusters of like questions over the distinct questions.")
    proposer_tool_calls: float
    proposer_agreement: float | None = Field(description="Share of proposer's own answers equal to the vote.")
    teacher: dict[str, float] = Field(
        default={}, description="Where a teacher proposed: its replies, prompt_tokens, completion_tokens and cost."
    )


class Example(Entry):
    """One trajectory to read. All its texts are written by a model: never trust them as markup."""

    iteration: int
    question: str
    pseudo_label: str | None
    known_answer: str | None
    self_consistency: float
    kept: bool
    text: str = Field(description="The whole trajectory, with its ```python and ```output blocks.")
    answer: str | None
    correct: bool | None = Field(None, description="The grader's verdict against the truth; None where none is known.")
    tool_calls: int


class IterationRecord(Entry):
    """One iteration; iteration 0 is the model that the evolution begins with, which has a score and nothing else."""

    iteration: int
    executor: ExecutorScores
    proposals: ProposalStatistics | None
    flips: Flips | None = Field(None, description="Against the iteration before; None where its verdicts are not kept.")
    kept_previous: bool = Field(False, description="Whether the guard kept the executor of the iteration before.")
    training: dict[str, tuple[dict[str, float], ...]] = Field(
        default={},
        description="Logged steps of 'curriculum' and 'executor', each with 'step' and its metrics.",
    )
    examples: tuple[Example, ...] = ()
    stage_seconds: dict[str, float] = {}


class History(Entry):
    """A whole evolution, finished or cut short."""

    recipe: str
    seed: int
    first_iteration: int = Field(1, description="First round of this run; earlier ones are of the run it goes on with.")
    planned_iterations: int = Field(description="Number of the last round.")
    code_version: str
    mlflow_run_id: str
    tracking_uri: str
    started_at: float = Field(description="Unix seconds.")
    finished_at: float = Field(description="Unix seconds.")
    config: dict[str, Any]
    before_warm_start: ExecutorScores | None = Field(
        None, description="The base model's scores where iteration 0 is that model after a warm start."
    )
    iterations: tuple[IterationRecord, ...]

    @property
    def beginning(self) -> str:
        """What iteration 0 is: the `base` model, or the `warm` one."""
        return "base" if self.before_warm_start is None else "warm"

    @property
    def title(self) -> str:
        """The recipe, and the ablations that its settings amount to."""
        ablations = active_ablations(self.config)
        return f"{self.recipe} ({', '.join(ablations)})" if ablations else self.recipe

    def summary(self) -> dict[str, Any]:
        """The numbers a script wants, without texts, curves and configuration; floats rounded to 6 digits."""
        return {
            "recipe": self.recipe,
            "ablations": list(active_ablations(self.config)),
            "seed": self.seed,
            "seconds": round(self.finished_at - self.started_at, DIGITS),
            "mlflow_run_id": self.mlflow_run_id,
            "before_warm_start": None if self.before_warm_start is None else _scores(self.before_warm_start),
            "iterations": [
                {
                    "iteration": record.iteration,
                    "executor": _scores(record.executor),
                    "flips": None if record.flips is None else record.flips.model_dump(),
                    "kept_previous": record.kept_previous,
                    "proposals": None if record.proposals is None else _proposals(record.proposals),
                }
                for record in self.iterations
            ],
        }


def _scores(scores: ExecutorScores) -> dict[str, Any]:
    return _score(scores) | {"levels": {name: _score(level) for name, level in scores.levels.items()}}


def _score(score: Score) -> dict[str, float | int]:
    return {
        "accuracy": round(score.accuracy, DIGITS),
        "ci_low": round(score.ci_low, DIGITS),
        "ci_high": round(score.ci_high, DIGITS),
        "n": score.n,
        "tool_calls": round(score.tool_calls, DIGITS),
        "self_consistency": round(score.self_consistency, DIGITS),
    }


def _proposals(proposals: ProposalStatistics) -> dict[str, Any]:
    return {
        "generated": proposals.generated,
        "valid": proposals.valid,
        "kept": proposals.kept,
        "first_executor_pass_rate": _rounded(proposals.first_executor_pass_rate),
        "self_consistency": round(proposals.self_consistency, DIGITS),
        "tool_calls": round(proposals.tool_calls, DIGITS),
        "label_accuracy": _rounded(proposals.label_accuracy),
        "label_accuracy_by": {name: round(value, DIGITS) for name, value in proposals.label_accuracy_by.items()},
        "kept_wrong": _rounded(proposals.kept_wrong),
        "kept_novelty": _rounded(proposals.kept_novelty),
        "kept_repeated": _rounded(proposals.kept_repeated),
        "distinct": round(proposals.distinct, DIGITS),
        "clusters": _rounded(proposals.clusters),
        "teacher": {name: round(value, DIGITS) for name, value in proposals.teacher.items()},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
