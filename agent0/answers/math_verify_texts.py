"""The two texts that Math-Verify is asked about: spelled alike, without units, relations in the form it can read."""

from __future__ import annotations

import re

from agent0.answers.characters import VARIABLE
from agent0.answers.normalisation import normalise, spelled
from agent0.answers.quantities import is_unit, split_units
from agent0.answers.shapes import begins_with_relation

_VARIABLE = re.compile(rf"(?<![A-Za-z\\]){VARIABLE}(?![A-Za-z])")
_LAST_LETTERS = re.compile(r"(?<=[0-9}\s])[A-Za-z]{1,2}$")
_OR = re.compile(r"(?<![A-Za-z]),? ?or (?![A-Za-z])|(?<![A-Za-z]),? ?or(?= ?[A-Za-z](?![A-Za-z]))")
_SIGN = r"(<=?|>=?|\\leq ?|\\geq ?|\\neq ?)"
_BOUND = r"([^<>=,a-z]*(?:\\(?!leq|geq|neq|cup)[a-z]+[^<>=,a-z]*)*)"
_NAME = r"([A-Za-z]|\\[a-z]+)"
_ONE_SIDED = re.compile(rf"{_NAME}{_SIGN}{_BOUND}")
_BOTH = re.compile(rf"{_NAME}{_SIGN}{_BOUND} and {_NAME}{_SIGN}{_BOUND}")
_TURNED = {">": "<", ">=": r"\leq", r"\geq": r"\leq"}
_TWO_SIDED = re.compile(rf"{_BOUND}{_SIGN}{_NAME}(?:{_SIGN}{_BOUND})?")


def prepared(gold: str, answer: str) -> tuple[str, str]:
    """Return gold and answer as they are put to Math-Verify."""
    gold, answer = _chained(gold), _chained(answer)
    forms = (normalise(gold), normalise(answer))
    texts = [_value(read, written) for read, written in zip(split_units(*forms), (gold, answer), strict=True)]
    union = _union(forms[0]) if _OR.search(forms[0]) else None
    if union is not None:
        return union, _union(forms[1]) or texts[1]
    for side, form in enumerate(forms):
        if begins_with_relation(form):
            variable = _VARIABLE.search(forms[1 - side])
            texts[side] = f"{variable.group() if variable else 'x'} {texts[side]}"
    return texts[0], texts[1]


def _chained(text: str) -> str:
    """Return `x>0 and x<1` as `0<x<1`; what is no such pair stays."""
    match = _BOTH.fullmatch(normalise(text)) if "and" in text else None
    if match is None or match[1] != match[4]:
        return text
    bounds = [(match[n], match[n + 1]) for n in (2, 5)]
    if "neq" in match[2] + match[5] or _is_below(match[2]) == _is_below(match[5]):
        return text
    low, high = sorted(bounds, key=lambda bound: _is_below(bound[0]))
    return f"{low[1]}{_TURNED[low[0].strip()]} {match[1]}{high[0]}{high[1]}"


def _is_below(sign: str) -> bool:
    return "<" in sign or "leq" in sign


def _value(read: tuple[str, str], written: str) -> str:
    value, unit = read
    return value if unit else _with_last_letters(spelled(written))


def _with_last_letters(text: str) -> str:
    r"""Keep Math-Verify from dropping the last variable of `\pi r^2 h` as a unit; its list has `h`, `m` and `ab`."""
    last = _LAST_LETTERS.search(text)
    if last is None or (is_unit(last.group()) and not _VARIABLE.search(text[: last.start()])):
        return text
    return f"{text[: last.start()]}{{{last.group().strip()}}}"


def _union(form: str) -> str | None:
    r"""Return `x<1 or x>2` as `(-\infty,1)\cup(2,\infty)`; None where a part is no relation of the one variable."""
    intervals, names = [], set()
    for part in _OR.split(form):
        read = _interval(part.strip())
        if read is None:
            return None
        names.add(read[0])
        intervals.append(read[1])
    return r"\cup".join(intervals) if len(names) == 1 else None


def _interval(part: str) -> tuple[str, str] | None:
    match = _ONE_SIDED.fullmatch(part)
    if match is not None:
        name, sign, bound = match.groups()
        if sign.startswith(r"\neq"):
            return name, rf"(-\infty,{bound})\cup({bound},\infty)"
        return name, _between(None, bound, sign) if _is_below(sign) else _between(bound, None, sign)
    match = _TWO_SIDED.fullmatch(part)
    if match is None:
        return None
    low, sign, name, second, high = match.groups()
    ascending = _is_below(sign)
    if second is None:
        return name, _between(low, None, sign) if ascending else _between(None, low, sign)
    if ascending != _is_below(second) or "neq" in sign + second:
        return None
    return name, _between(low, high, sign, second) if ascending else _between(high, low, second, sign)


def _between(low: str | None, high: str | None, sign: str, second: str | None = None) -> str:
    left = "(" if low is None or sign in "<>" else "["
    right = ")" if high is None or (second or sign) in "<>" else "]"
    return left + (low or r"-\infty") + "," + (high or r"\infty") + right
