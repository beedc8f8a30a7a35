"""The outcome of comparing two answers."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """Whether an answer is equivalent to a reference; only `TRUE` counts as right.

    `FALSE` is a decision. `NO_ANSWER` means that there is no answer to compare. `TIMEOUT` and `ERROR` mean
    that none could be reached: the comparison ran past its limit, or it was refused, crashed, or ran out of
    memory.
    """

    TRUE = "true"
    FALSE = "false"
    NO_ANSWER = "no_answer"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def correct(self) -> bool:
        """Whether this is `TRUE`."""
        return self is Verdict.TRUE
