"""Refusing answers that cost unbounded time before anything evaluates them.

The guards keep such answers out of the worker processes, which would be killed anyway but only after the time
limit. They look at the text alone and take time linear in its length.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 300
MAX_NESTING = 64
MAX_DIGITS = 60
MAX_EXPONENT = 10_000
MAX_FACTORIAL = 1_000

_OPENING, _CLOSING = "([{", ")]}"
_DIGITS = re.compile(r"[0-9]+")
_EXPONENT = re.compile(r"(?:\^|\*\*)\s*[({]*\s*-?\s*([0-9]+)")
_TOWER = re.compile(r"(?:\^|\*\*)\s*[({]*[^+\-,;=]{0,40}?(?:\^|\*\*)")
_FACTORIAL = re.compile(r"([0-9]+)\s*[)}]*\s*!")
_DOUBLE_FACTORIAL = re.compile(r"!\s*[)}]*\s*!")


def refusal(answer: str) -> str | None:
    """Return why `answer` must not be evaluated, or None where it may be."""
    if len(answer) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS} characters"
    depth = deepest = 0
    for character in answer:
        depth += (character in _OPENING) - (character in _CLOSING)
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        return f"nested more than {MAX_NESTING} deep"
    if any(len(digits) > MAX_DIGITS for digits in _DIGITS.findall(answer)):
        return f"a number of more than {MAX_DIGITS} digits"
    if "__" in answer:
        return "not mathematics"
    if _TOWER.search(answer):
        return "a tower of powers"
    if any(int(digits) > MAX_EXPONENT for digits in _EXPONENT.findall(answer)):
        return f"an exponent above {MAX_EXPONENT}"
    if _DOUBLE_FACTORIAL.search(answer) or any(
        int(digits) > MAX_FACTORIAL for digits in _FACTORIAL.findall(answer)
    ):
        return f"a factorial above {MAX_FACTORIAL}!"
    return None
