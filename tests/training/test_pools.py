from __future__ import annotations

from collections import Counter

import pytest

from agent0.config import PoolSettings
from agent0.training.pools import EARLIER, EASY, HARD, NEGATIVE, NORMAL, pool_of, pooled_rows
from agent0.types import LabelledTask, Task, Vote

SETTINGS = PoolSettings(enabled=True, easy_share=0.25, hard_share=0.25, earlier_share=0.25)


def pools(**sizes: int) -> dict[str, list[dict[str, str]]]:
    return {name: [{"prompt": f"{name} {number}"} for number in range(size)] for name, size in sizes.items()}


def batches(pools: dict[str, list[dict[str, str]]], settings: PoolSettings, steps: int) -> list[list[str]]:
    rows = [row["prompt"] for row in pooled_rows(pools, settings, 8, steps, 0)]
    return [rows[start : start + 8] for start in range(0, len(rows), 8)]


def origins(batch: list[str]) -> Counter[str]:
    return Counter(prompt.split()[0] for prompt in batch)


@pytest.mark.parametrize(("count", "pool"), [(10, EASY), (8, EASY), (7, NORMAL), (5, NORMAL), (4, HARD), (3, HARD)])
def test_the_vote_says_how_hard_a_task_is(count: int, pool: str) -> None:
    task = LabelledTask(
        task=Task(id="t", iteration=1, question="What is 2+3?"),
        vote=Vote(answer="5", count=count, k=10, clusters=2),
        answers=("5",) * count,
        tool_calls=1.0,
        truncated=0.0,
    )
    assert pool_of(task, PoolSettings()) == pool


def test_every_batch_has_its_share_of_each_pool_and_no_task_comes_again_before_all_others() -> None:
    drawn = batches(pools(easy=6, normal=6, hard=6, earlier=6), SETTINGS, 3)
    assert [origins(batch) for batch in drawn] == [Counter({EASY: 2, NORMAL: 2, HARD: 2, EARLIER: 2})] * 3
    assert len({prompt for batch in drawn for prompt in batch}) == 24


def test_a_place_that_a_pool_cannot_fill_goes_to_the_normal_ones_first() -> None:
    (batch,) = batches(pools(easy=1, normal=5, hard=9), SETTINGS, 1)
    assert origins(batch) == Counter({EASY: 1, NORMAL: 5, HARD: 2})
    (batch,) = batches(pools(easy=9, hard=3), SETTINGS, 1)
    assert origins(batch) == Counter({EASY: 5, HARD: 3})


def test_refused_answers_never_stand_in_for_labels_and_labels_do_for_them() -> None:
    settings = PoolSettings(enabled=True, easy_share=0.0, hard_share=0.0, negative_share=0.25)
    (batch,) = batches(pools(normal=6, negative=9), settings, 1)
    assert origins(batch) == Counter({NORMAL: 6, NEGATIVE: 2})
    (batch,) = batches(pools(normal=9, negative=1), settings, 1)
    assert origins(batch) == Counter({NORMAL: 7, NEGATIVE: 1})


def test_no_batch_holds_a_task_twice() -> None:
    for batch in batches(pools(normal=5, easy=2, hard=3), SETTINGS, 20):
        assert len(set(batch)) == 8


def test_pools_without_shares_leave_easy_tasks_for_where_the_others_are_too_few() -> None:
    settings = PoolSettings(enabled=True, easy_share=0.0, hard_share=0.0)
    (batch,) = batches(pools(easy=20, normal=6, hard=1), settings, 1)
    assert origins(batch) == Counter({NORMAL: 6, HARD: 1, EASY: 1})


def test_pools_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="must be below easy_threshold"):
        PoolSettings(easy_threshold=0.4)
    with pytest.raises(ValueError, match="more than a whole batch"):
        PoolSettings(easy_share=0.6, hard_share=0.5)
