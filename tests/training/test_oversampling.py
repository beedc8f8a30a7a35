"""A batch takes the groups that end first, each with its own label, and says what it left out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from noted import Noted

from agent0.config import ExecutorSettings, PoolSettings, TrainingSettings, load_config
from agent0.errors import UsageError
from agent0.rollout import Generation, Request, RolloutEngine, TokenBudget
from agent0.rollout.scripted import ScriptedBackend
from agent0.storage.shards import write_shards
from agent0.training.oversampling import Oversampling
from agent0.training.policy_rollouts import PolicyRollouts
from agent0.training.preflight import check_job
from agent0.training.training_job import TrainingJob
from agent0.training.worker import train
from agent0.types import LabelledTask, Task, Trajectory, Vote
from tests.training.conftest import QUESTIONS


class StopError(Exception):
    """Enough has been seen."""


class Unequal(ScriptedBackend):
    """Never ends a turn whose prompt holds the text `slow`."""

    def __init__(self, tokenizer: Any, write: Callable[[str], str], slow: str) -> None:
        super().__init__(tokenizer, write, concurrency=64)
        self._slow = slow
        self.cancelled = 0

    async def generate(self, request: Request) -> Generation:
        if self._slow in self._tokenizer.decode(request.prompt):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return await super().generate(request)


def test_the_groups_that_end_first_make_the_batch(tokenizer: Any) -> None:
    backend = Unequal(tokenizer, lambda text: "aaa" if "b" in text else "a" * 9, slow="c")
    engine = RolloutEngine(tokenizer, backend, None, TokenBudget(9, 32, 9, 0))  # type: ignore[arg-type]
    rows = [{"prompt": name, "label": name.upper()} for name in "abcd"]
    more: list[tuple[list[str], int]] = []

    def spare(own: Any, count: int, seed: int) -> list[str]:
        more.append((list(own), count))
        return ["d"]

    heard: list[Trajectory] = []
    taken = Oversampling(1.3, 2, rows, spare).draw(
        engine,
        ["a", "a", "c", "c", "b", "b"],
        lambda prompt: tokenizer(prompt, add_special_tokens=False).input_ids,
        0,
        Noted(),
        heard.append,
    )
    assert more == [(["a", "c", "b"], 1)]
    assert taken.columns == {"label": ["A", "A", "B", "B", "D", "D"]}
    assert [tokenizer.decode(list(t.prompt_ids)) for t in taken.trajectories] == ["a", "a", "b", "b", "d", "d"]
    assert sorted(map(id, heard)) == sorted(map(id, taken.trajectories))
    assert backend.cancelled == 2
    lengths = [len(t.completion_ids) for t in taken.trajectories]
    assert taken.metrics["oversample/left_out"] == taken.metrics["oversample/stopped"] == 2
    assert taken.metrics["oversample/tokens_left_out"] == 0
    stopped = [max(lengths)] * 2
    expected = (sum(lengths) / 6) / (sum([*lengths, *stopped]) / 8) - 1
    assert taken.metrics["oversample/length_bias"] == pytest.approx(expected)
    assert expected < 0


def test_an_executor_is_trained_on_the_tasks_that_ended_first_by_their_own_labels(
    make_job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExecutorSettings(steps=2, tasks_per_step=3, group_size=4, updates_per_step=1, learning_rate=1e-3)
    job = make_job("job", algorithm=settings, training=TrainingSettings(oversample=1.3))

    def write(text: str) -> str:
        return next(f"\\boxed{{{answer}}}" for question, answer in QUESTIONS.items() if question in text)

    @contextmanager
    def unequal(_: PolicyRollouts, trainer: Any) -> Iterator[ScriptedBackend]:
        yield Unequal(trainer.processing_class, write, slow="12+7")

    monkeypatch.setattr(PolicyRollouts, "_backend", unequal)
    log = train(job, lambda *_: None)
    assert [row["reward"] for row in log] == [1.0, 1.0]
    assert [row["oversample/left_out"] for row in log] == [4.0, 4.0]


def test_what_is_begun_beside_a_batch_is_of_neither_the_easy_nor_the_refused_tasks(
    make_job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tasks(name: str, count: int, agreed: int) -> list[LabelledTask]:
        vote = Vote(answer="5", count=agreed, k=10, clusters=3)
        questions = [f"What is {name} {number}?" for number in range(count)]
        whole = [Task(id=question, iteration=1, question=question) for question in questions]
        return [LabelledTask(task=t, vote=vote, answers=("5",), tool_calls=1.0, truncated=0.0) for t in whole]

    pools = PoolSettings(enabled=True, easy_share=0.25, hard_share=0.0, negative_share=0.25)
    settings = ExecutorSettings(steps=2, tasks_per_step=4, group_size=4, updates_per_step=1, pools=pools)
    job = make_job("job", algorithm=settings, training=TrainingSettings(oversample=2.0))
    write_shards(job.workspace / "tasks", [*tasks("normal", 6, 5), *tasks("easy", 20, 9)], LabelledTask)
    write_shards(job.workspace / "negative", tasks("refused", 20, 1), LabelledTask)
    job = job.model_copy(update={"tasks": job.workspace / "tasks", "negative_tasks": job.workspace / "negative"})
    begun: list[tuple[list[str], list[str]]] = []

    def noted(self: Oversampling, engine: Any, prompts: list[str], encode: Any, seed: int, *_: Any) -> None:
        own = prompts[:: self.group]
        begun.append((own, list(self.spare(own, len(own), seed))))
        raise StopError

    monkeypatch.setattr(Oversampling, "draw", noted)
    with pytest.raises(StopError):
        train(job, lambda *_: None)
    ((own, more),) = begun
    assert [sum(f"What is {name} " in prompt for prompt in own) for name in ("normal", "easy", "refused")] == [2, 1, 1]
    assert len(more) == 4
    assert all("What is normal" in prompt for prompt in more)


def test_a_backend_that_waits_for_all_is_refused_and_so_are_too_few_tasks() -> None:
    with pytest.raises(UsageError, match="'transformers' draws a batch's turns together"):
        load_config("tiny", ["training.oversample=1.5"])
    few = ["training.policy_backend=vllm", "training.oversample=1.5", "filtering.min_tasks=128"]
    with pytest.raises(UsageError, match=r"min_tasks is 128, but training.oversample 1.5 begins 192"):
        load_config("qwen3-4b", few)
    assert load_config("qwen3-4b", [*few[:2], "filtering.min_tasks=192"]).training.oversample == 1.5


def test_a_group_that_two_processes_would_share_is_refused(make_job: Callable[..., TrainingJob]) -> None:
    settings = ExecutorSettings(tasks_per_step=3, group_size=4, updates_per_step=1)
    job = make_job("job", algorithm=settings, training=TrainingSettings(oversample=1.5, policy_backend="vllm"))
    with pytest.raises(UsageError, match=r"3 groups .* do not divide among 2 processes"):
        check_job(job, gpus=0, processes=2)
