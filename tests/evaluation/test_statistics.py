from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.benchmarks.votes import exact_vote
from agent0.errors import UsageError
from agent0.evaluation.statistics import (
    Interval,
    clustered_mean,
    distinct_samples,
    intraclass_correlation,
    maj_at_k,
    mean_at_k,
    mean_of_intervals,
    minimum_detectable_difference,
    pass_at_k,
    pass_probability,
)


def test_the_interval_is_clustered_by_question() -> None:
    values = [0.0, 0.25, 0.5, 1.0]
    interval = clustered_mean(values)
    mean = sum(values) / 4
    error = math.sqrt(sum((v - mean) ** 2 for v in values) / 3 / 4)
    assert interval.mean == pytest.approx(0.4375)
    assert interval.high == pytest.approx(min(1.0, mean + 1.959964 * error), abs=1e-5)


def test_unanimous_questions_still_have_an_error_bar() -> None:
    interval = clustered_mean([1.0] * 20)
    assert interval.high == pytest.approx(1.0)
    assert 0.8 < interval.low < 0.9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_intervals_hold_their_mean_and_stay_in_range(values: list[float]) -> None:
    interval = clustered_mean(values)
    assert 0 <= interval.low <= interval.mean + 1e-9
    assert interval.mean - 1e-9 <= interval.high <= 1


def test_the_mean_of_two_intervals_has_the_error_of_each_side() -> None:
    nothing = [clustered_mean([0.0] * 160), clustered_mean([0.0] * 240)]
    both = mean_of_intervals(nothing)
    assert (both.mean, both.low) == (0.0, 0.0)
    assert both.high == pytest.approx(math.hypot(nothing[0].high, nothing[1].high) / 2)
    symmetric = mean_of_intervals([Interval(0.5, 0.4, 0.6), Interval(0.3, 0.2, 0.4)])
    assert symmetric.high - symmetric.mean == pytest.approx(symmetric.mean - symmetric.low)
    assert symmetric.high - symmetric.mean == pytest.approx(0.1 / math.sqrt(2))


def test_no_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one question"):
        clustered_mean([])


def test_mean_at_k_is_the_mean_of_question_means() -> None:
    interval = mean_at_k([[True, False], [True, True], [False, False, False, False]])
    assert interval.mean == pytest.approx((0.5 + 1 + 0) / 3)


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_hypergeometric_chance(numbers: tuple[int, int, int]) -> None:
    from scipy.stats import hypergeom

    samples, right, k = numbers
    expected = 1 - float(hypergeom(samples, right, k).pmf(0))
    assert pass_probability(samples, right, k) == pytest.approx(expected, abs=1e-9)


def test_pass_at_k_needs_k_samples() -> None:
    with pytest.raises(UsageError, match="at least 3 samples"):
        pass_at_k([[True, False]], 3)


def test_pass_at_1_is_mean_at_k() -> None:
    correct = [[True, False, False], [True, True, False]]
    assert pass_at_k(correct, 1).mean == pytest.approx(mean_at_k(correct).mean)


def test_maj_at_k_counts_the_winner_and_nobody_wins_without_answers() -> None:
    answers = [["A", "B", "A"], [None, None, "C"], [None, None, None]]
    correct = [[True, False, True], [False, False, True], [False, False, False]]
    assert maj_at_k(answers, correct, exact_vote).mean == pytest.approx(2 / 3)


def test_exact_votes_tie_to_the_earliest() -> None:
    vote = exact_vote([None, "B", "A", "A", "B"])
    assert (vote.answer, vote.count, vote.k, vote.clusters) == ("B", 2, 5, 2)


def test_samples_that_repeat_are_counted_once() -> None:
    assert distinct_samples([["x", "x", "x"], ["x", "y", "z"]]) == 2.0


def test_samples_of_a_question_are_alike_or_not() -> None:
    assert intraclass_correlation([[True] * 4, [False] * 4]) == 1.0
    assert intraclass_correlation([[True, False], [False, True]] * 20) == 0.0
    assert intraclass_correlation([[True], [False]]) == 1.0


def test_the_detectable_difference_has_the_power_it_names() -> None:
    import numpy as np

    difference = minimum_detectable_difference(400, accuracy=0.5)
    generator = np.random.default_rng(0)
    first = generator.random((2_000, 400)) < 0.5 - difference / 2
    second = generator.random((2_000, 400)) < 0.5 + difference / 2
    error = np.sqrt(2 * 0.25 / 400)
    found = np.abs(second.mean(axis=1) - first.mean(axis=1)) > 1.96 * error
    assert found.mean() == pytest.approx(0.8, abs=0.04)


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_more_questions_and_samples_show_smaller_differences(questions: int, samples: int) -> None:
    def detectable(asked: int, k: int) -> float:
        return minimum_detectable_difference(asked, samples=k, correlation_within=0.5)

    assert detectable(questions + 1, samples) < detectable(questions, samples)
    assert detectable(questions, samples + 1) < detectable(questions, samples)
