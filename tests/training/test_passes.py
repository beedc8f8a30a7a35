"""Passes hold every row once, within their budget and with little padding."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.training.passes import Row, deal, positions, split_to

ROWS = st.lists(st.builds(Row, st.integers(0, 4), st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=40)


@given(rows=ROWS, budget=st.integers(1, 400), shared=st.booleans())
def test_every_row_is_passed_once_within_the_budget(rows: list[Row], budget: int, shared: bool) -> None:
    passes = deal(rows, budget, shared)
    assert sorted(number for one in passes for number in one) == list(range(len(rows)))
    for one in passes:
        held = [rows[number] for number in one]
        assert len(one) == 1 or positions(held, shared) <= budget


@given(rows=ROWS, budget=st.integers(1, 400), data=st.data())
def test_processes_make_as_many_passes(rows: list[Row], budget: int, data: st.DataObject) -> None:
    passes = deal(rows, budget, False)
    count = data.draw(st.integers(len(passes), len(rows)))
    split = split_to(passes, count)
    assert len(split) == count
    assert all(split)
    assert sorted(number for one in split for number in one) == list(range(len(rows)))


@pytest.mark.parametrize("shared", [False, True])
def test_of_a_real_spread_nine_tenths_are_tokens(shared: bool) -> None:
    """Groups of 16 with a mean of a quarter of the limit, four trajectories of full length in a pass."""
    rng = random.Random(0)
    lengths = [min(4096, round(rng.lognormvariate(6.6, 0.8))) for _ in range(512)]
    rows = [Row(number // 16, 100 + number // 16 * 5, length) for number, length in enumerate(lengths)]
    computed = sum(positions([rows[number] for number in one], shared) for one in deal(rows, 4 * 4400, shared))
    whole = sum(row.tokens for row in rows)
    assert whole >= 0.95 * computed
    assert whole < 0.4 * len(rows) * (max(row.prompt_tokens for row in rows) + max(lengths))


def test_a_pass_more_is_made_where_it_saves_more_padding_than_it_costs() -> None:
    rows = [Row(number, 1, length - 1) for number, length in enumerate([100, 100, 30, 28])]
    assert deal(rows, 400, False) == [[0, 1], [2, 3]]
    rows = [Row(number, 1, length - 1) for number, length in enumerate([100, 98, 96, 94])]
    assert deal(rows, 400, False) == [[0, 1, 2, 3]]


def test_each_row_s_copy_of_a_shared_prompt_takes_room() -> None:
    rows = [Row(0, 61, 9)] * 4  # 60 read once, and 10 of each row beside a copy of 60
    assert positions(rows, True) == 100
    assert [len(one) for one in deal(rows, 130, True)] == [4]
    assert len(deal(rows, 129, True)) == 2


def test_the_cheaper_of_two_orders_is_taken() -> None:
    long_prompts = [Row(number % 2, 90, 10 + number // 2) for number in range(8)]
    assert [{long_prompts[number].prompt for number in one} for one in deal(long_prompts, 210, True)] == [{0}, {1}]
    long_completions = [Row(number % 2, 5, 100 * (1 + number // 2)) for number in range(8)]
    assert [len(one) for one in deal(long_completions, 820, True)] == [2, 2, 2, 2]
