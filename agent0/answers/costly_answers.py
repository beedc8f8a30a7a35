"""Refusing answers that cost unbounded time, before anything evaluates them.

The guards look at the text alone, in time linear in its length. What they let through is still bounded by the
worker's time and memory limits; they spare a batch the wait.
"""

from __future__ import annotations

import math
import re

from agent0.answers.characters import VARIABLE

MAX_CHARACTERS = 300
MAX_NESTING = 64
MAX_EXPONENT = 10_000  # of anything
MAX_RESULT_DIGITS = 10_000  # of a power of two numbers, or of numbers in brackets
MAX_SYMBOLIC_EXPONENT = 50  # of an expression with variables in brackets,
MAX_TERMS = 128  # unless its power, once expanded, has no more terms than this
MAX_FACTORIAL = 10_000
MAX_BOUND = 10_000  # of any number beside a sum, product, integral or binomial
_EXACT_DIGITS = 18  # a longer number stands for its size alone

_NUMBER_IN_BRACKETS = re.compile(r"(?<![\^}\]a-zA-Z])[({]\s*([0-9]+)\s*[)}]")
_POWER = re.compile(r"(?<![0-9])([0-9]+)\s*(?:\^|\*\*)\s*(?:([0-9]+)|[{(]\s*(-?[0-9]+)\s*[)}])(?!\s*(?:\^|\*\*|[0-9]))")
_EXPONENT = re.compile(r"(?:\^|\*\*)\s*[({]*\s*-?\s*([0-9]+)")
_BRACKETED_POWER = re.compile(r"[)\]}]\s*(?:\^|\*\*)\s*[({]*\s*-?\s*([0-9]+)")
_VARIABLE = re.compile(rf"(?<![A-Za-z\\]){VARIABLE}|\\(?:alpha|beta|gamma|theta|lambda|mu|phi)(?![A-Za-z])")
_ONE_LINE = str.maketrans("[]{}", "()()")
_FACTORIAL = re.compile(r"(?<![0-9])([0-9]+)\s*[)}]*\s*!")
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
        base, exponent = power.group(1), (power.group(2) or power.group(3)).lstrip("-0") or "0"
        if len(exponent) > _EXACT_DIGITS or int(exponent) > MAX_EXPONENT:
            return f"an exponent above {MAX_EXPONENT}"
        digits = int(exponent) * (math.log10(max(int(base), 1)) if len(base) <= _EXACT_DIGITS else len(base))
        if digits > MAX_RESULT_DIGITS:
            return f"a power of more than {MAX_RESULT_DIGITS} digits"
        small = digits < _EXACT_DIGITS and len(base) <= _EXACT_DIGITS
        value = str(int(base) ** int(exponent)) if small else "9" * math.ceil(digits)
        text = text[: power.start()] + value + text[power.end() :]
        if len(text) > MAX_CHARACTERS + MAX_RESULT_DIGITS:
            return f"powers of more than {MAX_RESULT_DIGITS} digits together"
    if any(_above(digits, MAX_EXPONENT) for digits in _EXPONENT.findall(text)):
        return f"an exponent above {MAX_EXPONENT}"
    reason = next(filter(None, (_bracketed_power(text, power) for power in _BRACKETED_POWER.finditer(text))), None)
    if reason is not None:
        return reason
    if _DOUBLE_FACTORIAL.search(text) or any(_above(digits, MAX_FACTORIAL) for digits in _FACTORIAL.findall(text)):
        return f"a factorial above {MAX_FACTORIAL}!"
    if _AGGREGATE.search(text) and any(_above(digits, MAX_BOUND) for digits in re.findall("[0-9]+", text)):
        return f"a bound above {MAX_BOUND}"
    return None


def _above(digits: str, limit: int) -> bool:
    return len(digits) > _EXACT_DIGITS or int(digits) > limit


def _bracketed_power(text: str, power: re.Match[str]) -> str | None:
    """Return why an expression in brackets must not be raised to this power."""
    exponent = int(power.group(1))
    inside = _bracketed(text, power.start())
    if not _VARIABLE.search(inside):
        digits = sum(map(len, re.findall("[0-9]+", inside))) * exponent
        return f"a power of more than {MAX_RESULT_DIGITS} digits" if digits > MAX_RESULT_DIGITS else None
    terms = 1 + len(re.findall(r"(?<=[^({^])[-+]", inside))
    expanded = math.comb(exponent + terms - 1, terms - 1)
    costly = exponent > MAX_SYMBOLIC_EXPONENT and expanded > MAX_TERMS
    return f"a power of more than {MAX_TERMS} terms" if costly else None


def _bracketed(text: str, end: int) -> str:
    """Return what stands in the bracket that closes at `end`; brackets of all kinds count alike."""
    alike, depth = text.translate(_ONE_LINE), 0
    for start in range(end, -1, -1):
        depth += (alike[start] == ")") - (alike[start] == "(")
        if depth == 0:
            return text[start + 1 : end]
    return text[:end]
