"""A grader for the tests of a file that look at no process of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent0.answers import Grader


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    """One worker, with more time than a pair takes on a busy machine."""
    with Grader(workers=1, seconds=20) as shared:
        yield shared
