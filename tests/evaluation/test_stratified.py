from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.evaluation.spec import Item
from agent0.evaluation.stratified import allocate, stratified_mean, stratified_subset

ITEMS = [Item(f"q{n}", "1", groups={"kind": "abc"[n % 3 if n % 2 else 0]}, id=str(n)) for n in range(120)]


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 500), min_size=1, max_size=12), st.data())
def test_shares_add_up_and_fit_their_strata(sizes: dict[str, int], data: st.DataObject) -> None:
    total = data.draw(st.integers(len(sizes), sum(sizes.values())))
    shares = allocate(sizes, total)
    assert sum(shares.values()) == total
    assert all(1 <= shares[name] <= size for name, size in sizes.items())


def test_shares_are_in_proportion() -> None:
    assert allocate({"a": 600, "b": 300, "c": 100}, 100) == {"a": 60, "b": 30, "c": 10}


def test_a_subset_is_the_same_for_the_same_seed_and_keeps_the_order() -> None:
    subset = stratified_subset(ITEMS, "kind", 30, seed=1)
    assert subset == stratified_subset(ITEMS, "kind", 30, seed=1)
    assert subset != stratified_subset(ITEMS, "kind", 30, seed=2)
    numbers = [int(item.id) for item in subset]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 30


def test_the_whole_has_no_sampling_error() -> None:
    interval = stratified_mean({"a": [1.0, 0.0], "b": [1.0]}, {"a": 2, "b": 1})
    assert interval.low == interval.mean == interval.high == pytest.approx(2 / 3)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    chooser = random.Random(0)
    whole = {name: [float(chooser.random() < share) for _ in range(400)] for name, share in (("a", 0.2), ("b", 0.7))}
    truth = fmean([value for values in whole.values() for value in values])
    sizes = {name: len(values) for name, values in whole.items()}
    covered = 0
    for _ in range(600):
        interval = stratified_mean({name: chooser.sample(values, 100) for name, values in whole.items()}, sizes)
        covered += interval.low <= truth <= interval.high
    assert covered / 600 == pytest.approx(0.95, abs=0.03)


def test_strata_count_by_their_size() -> None:
    assert stratified_mean({"a": [1.0, 1.0], "b": [0.0, 0.0]}, {"a": 90, "b": 10}).mean == pytest.approx(0.9)


def test_a_subset_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit"):
        stratified_subset(ITEMS, "kind", 121, seed=0)
    with pytest.raises(UsageError, match="has no 'level'"):
        stratified_subset(ITEMS, "level", 10, seed=0)
    with pytest.raises(UsageError, match="Every stratum"):
        stratified_mean({"a": [1.0]}, {"a": 1, "b": 1})
