from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.promotion.paired_tests import least_p_value, mcnemar, paired_bootstrap, sign_flip
from agent0.report.multiple_tests import holm


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(only_first: int, only_second: int, both: int) -> None:
    from scipy.stats import binomtest

    first = [True] * only_first + [False] * only_second + [True] * (both + 1)
    second = [False] * only_first + [True] * only_second + [True] * (both + 1)
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (only_first, only_second)
    trials = only_first + only_second
    expected = binomtest(only_first, trials).pvalue if trials else 1.0
    assert result.p_value == pytest.approx(expected, rel=1e-8)


def test_mcnemar_of_a_large_benchmark_is_a_number() -> None:
    from scipy.stats import binomtest

    first = [True] * 13_000 + [False] * 13_529
    second = [False] * 13_000 + [True] * 13_529
    expected = binomtest(13_000, 26_529).pvalue
    assert mcnemar(first, second).p_value == pytest.approx(expected, rel=1e-6)


def test_the_bootstrap_agrees_with_the_normal_law_and_repeats_itself() -> None:
    generator = np.random.default_rng(2)
    first = (generator.random(800) < 0.5).astype(float)
    second = (generator.random(800) < 0.58).astype(float)
    drawn = paired_bootstrap(list(first), list(second), draws=4_000, seed=3)
    error = 1.96 * (second - first).std(ddof=1) / np.sqrt(800)
    assert drawn == paired_bootstrap(list(first), list(second), draws=4_000, seed=3)
    assert drawn.mean == pytest.approx((second - first).mean())
    assert drawn.low == pytest.approx(drawn.mean - error, abs=0.006)
    assert drawn.high == pytest.approx(drawn.mean + error, abs=0.006)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=9))
def test_of_few_questions_the_permutation_test_goes_through_all_signs(pairs: list[tuple[int, int]]) -> None:
    first, second = ([given / 4 for given in side] for side in zip(*pairs, strict=True))
    differences = [b - a for a, b in pairs]  # in quarters, which are exact
    sums = [
        sum(sign * each for sign, each in zip(signs, differences, strict=True))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = sum(abs(value) >= abs(sum(differences)) for value in sums) / len(sums)
    assert sign_flip(first, second) == pytest.approx(expected)


def test_of_one_sample_a_question_the_permutation_test_is_mcnemar() -> None:
    first, second = [True] * 5 + [False] * 14 + [True] * 9, [False] * 5 + [True] * 14 + [True] * 9
    drawn = sign_flip(list(map(float, first)), list(map(float, second)), draws=40_000, seed=1)
    assert drawn == pytest.approx(mcnemar(first, second).p_value, abs=0.005)
    assert drawn == sign_flip(list(map(float, first)), list(map(float, second)), draws=40_000, seed=1)


def test_a_drawn_p_value_is_never_0() -> None:
    assert sign_flip([0.0] * 50, [1.0] * 50, draws=99) == 0.01


@pytest.mark.parametrize("questions", [*range(2, 11), 24])
def test_equal_models_are_told_apart_no_more_often_than_the_p_value_says(questions: int) -> None:
    """Four samples a question; 24 questions have their signs drawn."""
    trials, significance = 800, 0.05
    generator = np.random.default_rng(questions)
    rejected = 0
    for trial in range(trials):
        skill = generator.beta(0.6, 0.6, size=questions)
        first, second = (list(generator.binomial(4, skill) / 4) for _ in range(2))
        rejected += sign_flip(first, second, draws=400, seed=trial) <= significance
    assert rejected / trials <= significance + 2 * math.sqrt(significance * (1 - significance) / trials)


@pytest.mark.parametrize("questions", range(2, 9))
def test_the_least_p_value_is_that_of_questions_that_all_agree(questions: int) -> None:
    assert sign_flip([0.25] * questions, [0.75] * questions) == least_p_value(questions)
    assert mcnemar([False] * questions, [True] * questions).p_value == pytest.approx(least_p_value(questions))


def test_the_same_model_twice_does_not_differ() -> None:
    values = [0.0, 0.5, 1.0, 1.0]
    interval = paired_bootstrap(values, values, draws=100)
    assert interval.low == interval.mean == interval.high == 0.0
    assert sign_flip(values, values) == 1.0


def test_holm_adjusts_by_steps() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_raw_value_and_bonferroni(values: list[float]) -> None:
    adjusted = holm({str(index): value for index, value in enumerate(values)})
    for index, value in enumerate(values):
        assert value <= adjusted[str(index)] <= 1
    smallest = min(range(len(values)), key=values.__getitem__)
    assert adjusted[str(smallest)] == pytest.approx(min(1.0, len(values) * values[smallest]))


def test_models_are_compared_on_the_same_questions() -> None:
    with pytest.raises(UsageError, match="3 and 2"):
        paired_bootstrap([1, 0, 1], [1, 0])
    with pytest.raises(UsageError, match="at least one draw"):
        sign_flip([1, 0, 1], [1, 0, 0], draws=0)
    with pytest.raises(UsageError, match="2 and 1"):
        mcnemar([True, False], [True])
    with pytest.raises(UsageError, match="between 0 and 1"):
        holm({"a": 1.5})
