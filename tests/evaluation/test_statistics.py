from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.evaluation.statistics import clustered_mean


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


def test_no_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one question"):
        clustered_mean([])
