from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.evaluation.comparison import holm, mcnemar, paired_bootstrap, paired_difference


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(only_first: int, only_second: int, both: int) -> None:
    first = [True] * only_first + [False] * only_second + [True] * (both + 1)
    second = [False] * only_first + [True] * only_second + [True] * (both + 1)
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (only_first, only_second)
    trials = only_first + only_second
    expected = scipy.stats.binomtest(only_first, trials).pvalue if trials else 1.0
    assert result.p_value == pytest.approx(expected, rel=1e-8)


def test_mcnemar_of_a_large_benchmark_is_a_number() -> None:
    first = [True] * 13_000 + [False] * 13_529
    second = [False] * 13_000 + [True] * 13_529
    expected = scipy.stats.binomtest(13_000, 26_529).pvalue
    assert mcnemar(first, second).p_value == pytest.approx(expected, rel=1e-6)


def test_the_paired_difference_is_the_normal_test_of_differences() -> None:
    generator = np.random.default_rng(1)
    first = generator.random(500)
    second = np.clip(first + generator.normal(0.02, 0.1, 500), 0, 1)
    result = paired_difference(list(first), list(second))
    differences = second - first
    z = differences.mean() / (differences.std(ddof=1) / np.sqrt(500))
    assert result.mean == pytest.approx(differences.mean())
    assert result.p_value == pytest.approx(2 * scipy.stats.norm.sf(abs(z)))


def test_the_bootstrap_agrees_with_the_normal_law_and_repeats_itself() -> None:
    generator = np.random.default_rng(2)
    first = list((generator.random(800) < 0.5).astype(float))
    second = list((generator.random(800) < 0.58).astype(float))
    drawn = paired_bootstrap(first, second, draws=4_000, seed=3)
    normal = paired_difference(first, second)
    assert drawn == paired_bootstrap(first, second, draws=4_000, seed=3)
    assert drawn.low == pytest.approx(normal.low, abs=0.006)
    assert drawn.high == pytest.approx(normal.high, abs=0.006)
    assert drawn.p_value == pytest.approx(normal.p_value, abs=0.02)


def test_the_same_model_twice_does_not_differ() -> None:
    values = [0.0, 0.5, 1.0, 1.0]
    assert paired_difference(values, values).p_value == 1.0
    assert paired_bootstrap(values, values, draws=100).p_value == 1.0


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
    with pytest.raises(UsageError, match="2 and 1"):
        mcnemar([True, False], [True])
    with pytest.raises(UsageError, match="between 0 and 1"):
        holm({"a": 1.5})
