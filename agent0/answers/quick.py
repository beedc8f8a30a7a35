r"""Deciding the ordinary pairs exactly and without sympy, which is about a thousand times cheaper.

A rule answers only where it is sure; everything else is left to Math-Verify. `docs/answers-and-rewards.md`
lists the few pairs where a rule differs from Math-Verify on purpose.
"""

from __future__ import annotations

import re
from fractions import Fraction

from agent0.answers.normalisation import exact_rational

# Math-Verify calls two numbers equal when they agree after rounding to six decimals, if one of them is a
# decimal. Numbers further apart than this never do; closer ones are left to it unless both are integers.
_SURELY_DIFFERENT = Fraction(1, 100_000)
_INTEGER = re.compile(r"-?[0-9]+")


def decide(gold: str, answer: str) -> bool | None:
    """Compare two normal forms; True and False are decisions, None means that Math-Verify must look.

    Args:
        gold: normal form of the reference (`agent0.answers.normalise`).
        answer: normal form of the answer.
    """
    if gold == answer:
        return True
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        return False  # normal forms of integers are unique
    left, right = exact_rational(gold), exact_rational(answer)
    if left is not None and right is not None and abs(left - right) > _SURELY_DIFFERENT:
        return False
    return None
