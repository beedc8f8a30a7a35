"""An attempt after one that failed over its own draw draws otherwise, in smaller passes where memory was short."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch

from agent0.config import GuardSettings, TrainingSettings
from agent0.errors import Agent0Error
from agent0.storage.workspace import Workspace
from agent0.training.batch_division import BatchPlan
from agent0.training.guards import NotANumberError
from agent0.training.retries import leaving_word, read_retry, retried
from agent0.training.training_job import TrainingJob
from agent0.training.worker import train
from tests.training.test_durability import nothing

MakeJob = Callable[..., TrainingJob]
UNGUARDED = GuardSettings(max_grad_norm=0, min_entropy=0, max_truncated_share=0, min_tool_format=0)


class Heard:
    """Hears warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        """See `agent0.progress.Shown`."""

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_after_a_number_that_is_none_the_next_attempt_draws_with_another_seed_and_says_so(make_job: MakeJob) -> None:
    job = make_job("lost", training=TrainingSettings(guards=UNGUARDED))
    job = job.model_copy(update={"algorithm": job.algorithm.model_copy(update={"learning_rate": 1e30})})
    drawn: list[dict[str, float]] = []

    def log(numbers: Mapping[str, float], step: int) -> None:
        if step == 1:
            drawn.append({name: numbers[name] for name in ("entropy", "completions/mean_length")})

    first, second = Heard(), Heard()
    with pytest.raises(
        NotANumberError, match=r"is nan at step 2.*Run again, the stage goes on there with the next seed"
    ):
        train(job, log, first)
    assert first.warnings == []
    with pytest.raises(NotANumberError):
        train(job, log, second)
    (warning,) = second.warnings
    assert "is nan at step 2" in warning
    assert "draws with seed number 2 and trains as before" in warning
    assert drawn[0] != drawn[1]
    retry = read_retry(Workspace(job.workspace))
    assert retry is not None
    assert (retry.reseeded, retry.micro_batch_tokens) == (2, 0)


def failing(job: TrainingJob, exhaust: Callable[[], object]) -> str:
    """Run out of memory in a training, and return what is said of it."""
    job.workspace.mkdir(exist_ok=True)
    with (
        pytest.raises(Agent0Error, match="ran out of memory") as said,
        leaving_word(job, BatchPlan.of(job, 1), Workspace(job.workspace)),
    ):
        exhaust()
    return str(said.value)


@pytest.mark.parametrize("exhaust", [lambda: torch.empty(1 << 60, dtype=torch.uint8), lambda: bytearray(1 << 62)])
def test_out_of_memory_halves_the_passes_down_to_one_trajectory(
    make_job: MakeJob, exhaust: Callable[[], object]
) -> None:
    job = make_job("full")
    longest, rows = 96 + 56, 8
    budgets = []
    for _ in range(5):
        said = failing(job, exhaust)
        retry = read_retry(Workspace(job.workspace))
        assert retry is not None
        job = retried(job, retry)
        budgets.append(job.training.micro_batch_tokens)
        assert job.reseeded == len(budgets)
    assert budgets == [rows * longest // 2, rows * longest // 4, longest, longest, longest]
    assert "passes of one trajectory, as before" in said


def test_an_attempt_after_one_without_memory_makes_more_passes_and_says_so(make_job: MakeJob) -> None:
    whole, again = make_job("whole"), make_job("again")
    failing(again, lambda: torch.empty(1 << 60, dtype=torch.uint8))
    heard = Heard()
    expected, history = train(whole, nothing), train(again, nothing, heard)
    assert [row["passes/count"] for row in expected] == [1.0] * 6
    assert any(row["passes/count"] > 1 for row in history)
    assert "draws with seed number 2 and trains in passes of up to 608 tokens" in heard.warnings[0]


def test_what_is_no_fault_of_the_draw_leaves_nothing(make_job: MakeJob) -> None:
    job = make_job("other")
    with pytest.raises(RuntimeError, match="shape"), leaving_word(job, BatchPlan.of(job, 1), Workspace(job.workspace)):
        raise RuntimeError("shapes differ")
    assert read_retry(Workspace(job.workspace)) is None
