from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.benchmarks.spec import Item
from agent0.errors import UsageError
from agent0.evaluation.statistics import clustered_mean
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


@pytest.mark.parametrize("shares", [{"": 0.6}, {"a": 0.1, "b": 0.9}])
def test_a_subset_of_nearly_all_questions_is_no_surer_than_the_whole(shares: dict[str, float]) -> None:
    whole = {name: [float(n < share * 40) for n in range(40)] for name, share in shares.items()}
    full = clustered_mean([value for values in whole.values() for value in values])
    nearly = stratified_mean({name: values[1:] for name, values in whole.items()}, dict.fromkeys(whole, 40))
    assert nearly.high - nearly.low == pytest.approx(full.high - full.low, rel=0.03)


def test_the_interval_covers_the_mean_of_the_kind_as_often_as_it_says() -> None:
    """The benchmark is drawn anew each time, its strata with it; only a part of each stratum is asked."""
    chooser = random.Random(0)
    rights = {"a": 0.1, "b": 0.9}
    covered = 0
    for _ in range(600):
        whole: dict[str, list[float]] = {"a": [], "b": []}
        for _ in range(400):
            name = chooser.choice("ab")
            whole[name].append(float(chooser.random() < rights[name]))
        seen = {name: chooser.sample(values, len(values) // 2) for name, values in whole.items()}
        interval = stratified_mean(seen, {name: len(values) for name, values in whole.items()})
        covered += interval.low <= 0.5 <= interval.high
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
