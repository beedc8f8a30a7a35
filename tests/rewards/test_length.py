"""The soft overlong punishment."""

from __future__ import annotations

import pytest

from agent0.rewards import overlong_penalty


@pytest.mark.parametrize(("tokens", "lost"), [(0, 0.0), (16_384, 0.0), (18_432, 0.5), (20_480, 1.0), (20_500, 1.0)])
def test_dapos_numbers(tokens: int, lost: float) -> None:
    assert overlong_penalty(tokens, 20_480, 4_096, 1.0) == lost


def test_without_a_buffer_no_length_is_punished() -> None:
    assert overlong_penalty(100, 100, 0, 1.0) == 0.0
