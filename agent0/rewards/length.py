"""What a response loses for being long: the soft overlong punishment of DAPO (arXiv 2503.14476, section 3.4)."""

from __future__ import annotations


def overlong_penalty(tokens: int, limit: int, buffer: int, penalty: float) -> float:
    """Return what a response loses: nothing up to `limit - buffer` tokens, from there rising to `penalty` at `limit`.

    A `buffer` of 0 punishes no length.
    """
    return penalty * min(1.0, max(0.0, (tokens - limit + buffer) / buffer)) if buffer else 0.0
