"""An attempt after one that failed over its own draw draws otherwise, in smaller passes where memory was short."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from stage_training import train_in_stage

from agent0.config import GuardSettings, TrainingSettings
from agent0.errors import Agent0Error
from agent0.stages import training_stage
from agent0.storage.workspace import Workspace
from agent0.training.failed_attempt import leaving_word
from agent0.training.guards import NotANumberError
from agent0.training.passes import Size
from agent0.training.retries import Retry, read_retry, retried
from agent0.training.training_job import TrainingJob
from agent0.training.useful_tokens import UsefulTokensTrainer
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


EXHAUSTING = [lambda: torch.empty(1 << 60, dtype=torch.uint8), lambda: bytearray(1 << 62)]


def failing(job: TrainingJob, exhaust: Callable[[], object], largest: Size | None) -> str:
    """Run out of memory in a training whose largest pass was of that size, and return what is said of it."""
    job.workspace.mkdir(exist_ok=True)

    def attempt() -> None:
        with leaving_word(job, Workspace(job.workspace)) as word:
            word.trainer = None if largest is None else SimpleNamespace(largest_pass=largest)  # type: ignore[assignment]
            exhaust()

    with pytest.raises(Agent0Error, match="ran out of memory") as said:
        attempt()
    return str(said.value)


def budget_after(job: TrainingJob) -> int:
    retry = read_retry(Workspace(job.workspace))
    assert retry is not None
    assert retry.reseeded == 1
    return retried(job, retry).training.micro_batch_tokens


@pytest.mark.parametrize("exhaust", EXHAUSTING)
@pytest.mark.parametrize(
    ("largest", "budget", "sentence"),
    [
        (None, 900, r"ran out of memory before its first pass .*next seed and passes as before"),
        (Size(0, 0), 900, r"ran out of memory before its first pass .*next seed and passes as before"),
        (Size(641, 4), 320, r"in passes of up to 641 tokens .*next seed and passes of up to 320 tokens"),
        (Size(152, 1), 152, r"one trajectory, of 152 tokens .*next seed and passes of one trajectory, as before"),
    ],
)
def test_out_of_memory_halves_the_largest_pass_that_was_made(
    make_job: MakeJob, exhaust: Callable[[], object], largest: Size | None, budget: int, sentence: str
) -> None:
    job = make_job("full", training=TrainingSettings(micro_batch_tokens=900))
    assert re.search(sentence, failing(job, exhaust, largest))
    assert budget_after(job) == budget


def test_an_attempt_after_one_without_memory_makes_smaller_passes_and_says_so(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The responses are shorter than their limit, so half of what the limit allows would hold the whole update."""
    job, made = make_job("again"), []

    def measured(trainer: UsefulTokensTrainer, *args: Any, **kwargs: Any) -> Any:
        scored = scoring(trainer, *args, **kwargs)
        made.append(trainer.largest_pass.positions)
        if len(made) == 1:
            torch.empty(1 << 60, dtype=torch.uint8)
        return scored

    scoring = UsefulTokensTrainer._get_per_token_logps_and_entropies
    monkeypatch.setattr(UsefulTokensTrainer, "_get_per_token_logps_and_entropies", measured)
    with pytest.raises(Agent0Error, match="ran out of memory in passes of up to"):
        train(job, nothing)
    whole = made[0]
    assert whole < 8 * (96 + 56) / 2
    heard = Heard()
    train(job, nothing, heard)
    assert max(made[1:]) <= whole // 2
    assert f"draws with seed number 2 and trains in passes of up to {whole // 2} tokens" in heard.warnings[0]


def test_what_is_no_fault_of_the_draw_leaves_nothing(make_job: MakeJob) -> None:
    job = make_job("other")
    with pytest.raises(RuntimeError, match="shape"), leaving_word(job, Workspace(job.workspace)):
        raise RuntimeError("shapes differ")
    assert read_retry(Workspace(job.workspace)) is None


def test_servers_that_draw_from_a_stream_of_their_own_get_the_next_seed_too(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, seeds = make_job("served"), []

    @contextmanager
    def executors(*given: Any) -> Iterator[tuple[()]]:
        seeds.append(given[-1])
        yield ()

    @contextmanager
    def policy(*given: Any) -> Iterator[str]:
        seeds.append(given[-1])
        yield ""

    def run(job: TrainingJob, *_: Any) -> list[dict[str, float]]:
        seeds.append(job.drawing_seed)
        return []

    monkeypatch.setattr(training_stage, "_executor_servers", executors)
    monkeypatch.setattr(training_stage, "_policy_server", policy)
    monkeypatch.setattr(training_stage, "run_job", run)

    def attempt() -> list[int]:
        seeds.clear()
        train_in_stage(job)
        return list(seeds)

    first = attempt()
    assert attempt() == first
    with pytest.raises(NotANumberError), leaving_word(job, Workspace(job.output.with_name("output.workspace"))):
        raise NotANumberError("The training was stopped.", "loss is nan at step 1")
    assert not set(first) & set(attempt())


def test_passes_that_the_settings_have_made_smaller_meanwhile_stay_so(make_job: MakeJob) -> None:
    """After a kill, of which nothing was noted."""
    retry = Retry(reseeded=1, micro_batch_tokens=400, reason="out of memory")
    for asked, expected in ((0, 400), (900, 400), (200, 200)):
        job = make_job("lowered", training=TrainingSettings(micro_batch_tokens=asked))
        assert retried(job, retry).training.micro_batch_tokens == expected
