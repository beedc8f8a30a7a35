from __future__ import annotations

import errno

import pytest

from agent0.errors import UsageError, explain, reason_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("One.\n  Two.\n"), "ValueError: One. Two."),
        (ValueError("One"), "ValueError: One."),
        (OSError(errno.ENOSPC, "No space left on device\n"), "The disk is full ([Errno 28] No space left on device);"),
        (UsageError("It has lines:\n  one\n  two"), "It has lines:\n  one\n  two"),
    ],
)
def test_what_others_raise_is_told_on_one_line_and_our_own_as_it_is(error: Exception, told: str) -> None:
    assert explain(error).startswith(told)


def test_a_reason_ends_without_a_full_stop() -> None:
    assert reason_of(ValueError("No\nsuch filter..")) == "No such filter"
