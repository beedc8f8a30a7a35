"""Refusing answers that cost unbounded time, before anything evaluates them.

The guards look at the text alone, in time linear in its length. What they let through is still bounded by the
worker's time and memory limits; they spare a batch the wait.
"""

from __future__ import annotations

import math
import re

MAX_CHARACTERS = 300
MAX_NESTING = 64
MAX_EXPONENT = 10_000  # of anything
MAX_RESULT_DIGITS = 1_000  # of a power of two numbers
MAX_SYMBOLIC_EXPONENT = 50  # of an expression in brackets: expanding a sum costs about exponent ** terms
MAX_FACTORIAL = 1_000
MAX_BOUND = 10_000  # of any number beside a sum, product, integral or binomial

_NUMBER_IN_BRACKETS = re.compile(r"(?<![\^}\]a-zA-Z])[({]\s*([0-9]+)\s*[)}]")
_POWER = re.compile(r"([0-9]+)\s*(?:\^|\*\*)\s*(?:([0-9]+)|[{(]\s*(-?[0-9]+)\s*[)}])(?!\s*(?:\^|\*\*|[0-9]))")
_EXPONENT = re.compile(r"(?:\^|\*\*)\s*[({]*\s*-?\s*([0-9]+)")
_SYMBOLIC_POWER = re.compile(r"[)\]]\s*(?:\^|\*\*)\s*[({]*\s*-?\s*([0-9]+)")
_FACTORIAL = re.compile(r"([0-9]+)\s*[)}]*\s*!")
_DOUBLE_FACTORIAL = re.compile(r"!\s*[)}]*\s*!")
_AGGREGATE = re.compile(r"\\(?:sum|prod|int|binom|dbinom|tbinom|choose|lim|Gamma|zeta)(?![a-zA-Z])")
_ESCAPED = re.compile(r"\\.", re.DOTALL)


def refusal(answer: str) -> str | None:
    """Return why `answer` must not be evaluated, or None where it may be."""
    if len(answer) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS} characters"
    if "__" in answer:
        return "not mathematics"
    return _nesting(answer) or _magnitude(answer)


def _nesting(answer: str) -> str | None:
    depth = deepest = braces = 0
    for character in _ESCAPED.sub("", answer):
        braces += (character == "{") - (character == "}")
        if braces < 0:
            return "unbalanced braces"
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if braces:
        return "unbalanced braces"
    return f"nested more than {MAX_NESTING} deep" if deepest > MAX_NESTING else None


def _magnitude(answer: str) -> str | None:
    text = answer.replace(r"\left", "").replace(r"\right", "").replace("{,}", "")
    for _ in range(MAX_CHARACTERS):  # evaluate small powers of numbers, innermost first
        text = _NUMBER_IN_BRACKETS.sub(r"\1", text)
        power = _POWER.search(text)
        if power is None:
            break
        base, exponent = int(power.group(1)), int(power.group(2) or power.group(3))
        if exponent < 0:
            exponent = -exponent  # the size of the denominator
        if exponent > MAX_EXPONENT or exponent * math.log10(max(base, 1)) > MAX_RESULT_DIGITS:
            return f"a power of more than {MAX_RESULT_DIGITS} digits"
        text = f"{text[: power.start()]}{base**exponent}{text[power.end() :]}"
    exponents = [int(digits) for digits in _EXPONENT.findall(text)]
    if any(exponent > MAX_EXPONENT for exponent in exponents):
        return f"an exponent above {MAX_EXPONENT}"
    if any(int(digits) > MAX_SYMBOLIC_EXPONENT for digits in _SYMBOLIC_POWER.findall(text)):
        return f"a bracketed expression to a power above {MAX_SYMBOLIC_EXPONENT}"
    if _DOUBLE_FACTORIAL.search(text) or any(int(digits) > MAX_FACTORIAL for digits in _FACTORIAL.findall(text)):
        return f"a factorial above {MAX_FACTORIAL}!"
    if _AGGREGATE.search(text) and any(int(digits) > MAX_BOUND for digits in re.findall("[0-9]+", text)):
        return f"a bound above {MAX_BOUND}"
    return None
