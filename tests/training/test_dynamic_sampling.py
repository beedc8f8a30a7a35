"""Groups that teach nothing are replaced by other tasks', as far as the rounds go, the same in every attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agent0.config import ExecutorSettings
from agent0.errors import UsageError
from agent0.training.dynamic_sampling import REDRAWN_COLUMN, DynamicSampling
from agent0.training.preflight import check_job
from agent0.training.training_job import TrainingJob
from agent0.training.worker import train
from agent0.types import Trajectory

GROUP = 2
ROWS = [{"prompt": f"task {number}", "pseudo_label": str(number)} for number in range(8)]


class Draws:
    """Trajectories that name their prompt, and every prompt that was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], int]] = []

    def __call__(self, prompts: Sequence[str], seed: int) -> list[Trajectory]:
        self.asked.append((list(prompts), seed))
        return [
            Trajectory(prompt_ids=(1,), completion_ids=(place,), mask=(1,), text=prompt, finish="eos")
            for place, prompt in enumerate(prompts)
        ]


def sampled(taught: set[str], rounds: int, seed: int = 3) -> tuple[list[Trajectory], dict[str, list[Any]], Draws]:
    """Draw a batch of three tasks where the groups of `taught` alone have different rewards."""

    def judge(group: Sequence[Trajectory], row: Any) -> list[float]:
        assert {trajectory.text for trajectory in group} == {row["prompt"]}
        return [0.0, 1.0 if row["prompt"] in taught else 0.0]

    draws = Draws()
    prompts = [f"task {number}" for number in range(3) for _ in range(GROUP)]
    trajectories, columns = DynamicSampling(ROWS, judge, GROUP, rounds)(prompts, draws, seed)
    return trajectories, columns, draws


def test_a_batch_that_teaches_is_drawn_once() -> None:
    trajectories, columns, draws = sampled({"task 0", "task 1", "task 2"}, 5)
    assert [t.text for t in trajectories] == ["task 0"] * 2 + ["task 1"] * 2 + ["task 2"] * 2
    assert columns == {"pseudo_label": ["0", "0", "1", "1", "2", "2"], REDRAWN_COLUMN: [0.0] * 6}
    assert len(draws.asked) == 1


def test_others_come_from_the_spare_rows_alone_where_there_are_some() -> None:
    draws = Draws()
    sampling = DynamicSampling(ROWS, lambda *_: [0.0, 0.0], GROUP, 4, ROWS[6:])
    trajectories, _ = sampling([f"task {number}" for number in range(3) for _ in range(GROUP)], draws, 1)
    assert {t.text for t in trajectories} <= {"task 6", "task 7"}
    assert len(draws.asked) == 5


def test_what_teaches_nothing_is_replaced_with_its_label_until_it_does() -> None:
    taught = {"task 1", "task 5", "task 6"}
    trajectories, columns, draws = sampled(taught, 50)
    texts = [t.text for t in trajectories]
    assert set(texts) <= taught
    assert texts[2:4] == ["task 1"] * 2
    assert columns["pseudo_label"] == [text.removeprefix("task ") for text in texts]
    assert columns[REDRAWN_COLUMN] == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    first, *later = draws.asked
    assert not {prompt for (prompt,) in zip(later[0][0])} & set(first[0])
    assert len({seed for _, seed in draws.asked}) == len(draws.asked)
    assert sampled(taught, 50)[2].asked == draws.asked


def test_it_ends_with_its_rounds() -> None:
    trajectories, _, draws = sampled(set(), 2)
    assert len(draws.asked) == 3
    assert len(trajectories) == 3 * GROUP


def test_a_training_replaces_groups(make_job: Callable[..., TrainingJob]) -> None:
    settings = ExecutorSettings(
        steps=2, tasks_per_step=2, group_size=4, updates_per_step=1, learning_rate=1e-3, redraws=2, overlong_buffer=16
    )
    never_reached = {f"What is {number}+3?": "unknown" for number in range(4)}  # so every group earns 0 alike
    log = train(make_job("redrawn", never_reached, algorithm=settings), lambda *_: None)
    assert [row["rollout/redrawn"] for row in log] == [1.0, 1.0]
    assert all(row["reward/overlong"] <= 0 for row in log)


def test_groups_that_are_cut_between_processes_cannot_be_replaced(make_job: Callable[..., TrainingJob]) -> None:
    settings = ExecutorSettings(steps=1, tasks_per_step=4, group_size=4, updates_per_step=1, redraws=1)
    job = make_job("cut", algorithm=settings)
    check_job(job, 0, 2)
    with pytest.raises(UsageError, match="no whole groups of 4; set it to 0"):
        check_job(job, 0, 8)
