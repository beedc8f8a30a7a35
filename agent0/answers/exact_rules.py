r"""Deciding the ordinary pairs exactly and without sympy, a thousand times cheaper than with it.

A rule answers only where it is sure; everything else is None and left to Math-Verify.
`docs/answers-and-rewards.md` lists the few pairs where a rule differs from Math-Verify on purpose.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from agent0.answers.characters import VARIABLE
from agent0.answers.normalisation import exact_rational, normalise
from agent0.answers.quantities import same_kind, split_units
from agent0.answers.shapes import based, differ
from agent0.answers.spelling import MAX_CHARACTERS

# Numbers further apart than this differ however they are written; closer ones are compared in a worker, which
# knows a decimal from a fraction (`agent0.answers.number_agreement`), unless both are integers.
SURELY_DIFFERENT = Fraction(1, 100_000)  # of the larger
SURELY_DIFFERENT_DECIMALS = Fraction(1, 1_000_000)  # of the larger, or of 1

_INTEGER = re.compile(r"-?[0-9]+")
_LETTER = re.compile(VARIABLE)
_ASSIGNMENT = re.compile(f"{VARIABLE}=(.+)")
_WORDS = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*")
_CAPITALS = re.compile(r"[A-Z]{3,}")
_WORD_LETTERS = 4  # shorter runs of small letters may be a product: xy is yx
_SHORT_WORDS = frozenset({"yes", "no", "odd"})
_MATHEMATICAL = re.compile(
    r"\b(?:and|or|inf|infty|infinity|percent|percentage|pct|alpha|beta|gamma|delta|theta|lambda|sigma|sqrt|log"
    r"|(?:arc)?(?:sin|cos|tan|cot|sec|csc)h?)\b",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"[0-9:]+ [ap]m")
_TWELVE_HOURS = re.compile(r"(1[0-2]|[1-9])(?::([0-5][0-9]))? ([ap])m")
_DAY_HOURS = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RATIO = re.compile(r"[0-9]+(?::[0-9]+){2,}")
_MATRIX = re.compile(r"\\begin\{([pb]?)matrix\}(.*)\\end\{\1matrix\}")
_SEQUENCE_ENDS = {"(": ")]", "[": ")]"}


class _Sequence(NamedTuple):
    """Exact numbers in an enclosure: 'set' (also a bare list), brackets such as '[)', or 'matrix 2x3'."""

    kind: str
    items: tuple[Fraction, ...]


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
    if len(gold) > MAX_CHARACTERS or len(answer) > MAX_CHARACTERS:
        return _compare_sequences(gold, answer)
    if differ(gold, answer):
        return False
    if based(gold) is not None and based(answer) is not None:
        return True
    if _DATE.fullmatch(gold) or _DATE.fullmatch(answer):
        return False
    if _RATIO.fullmatch(gold) or _RATIO.fullmatch(answer):
        return _same_ratio(gold, answer)
    gold_value, answer_value = exact_rational(gold), exact_rational(answer)
    if gold_value is not None and answer_value is not None:
        return _compare_numbers(gold_value, answer_value)
    if gold_value is not None:
        return _compare_with_number(gold_value, answer)
    if answer_value is not None:
        return _compare_with_number(answer_value, gold)
    if _same_time(gold, answer):
        return True
    if _CLOCK.fullmatch(gold) and _CLOCK.fullmatch(answer):
        return False
    quantities = _compare_quantities(gold, answer)
    if quantities is not None:
        return quantities
    return _compare_words(gold, answer, _compare_percentages(gold, answer, _compare_sequences(gold, answer)))


def _compare_numbers(left: Fraction, right: Fraction) -> bool | None:
    if left == right:
        return True
    return False if _surely_different(left, right) else None


def _surely_different(left: Fraction, right: Fraction) -> bool:
    error = abs(left - right)
    size = max((abs(left), abs(right)))
    return error > SURELY_DIFFERENT * size or error > max(SURELY_DIFFERENT_DECIMALS, SURELY_DIFFERENT_DECIMALS * size)


def _compare_with_number(number: Fraction, other: str) -> bool | None:
    """Compare a number with something that is not a plain number."""
    if _LETTER.fullmatch(other) or _is_words(other):
        return False
    assignment = _ASSIGNMENT.fullmatch(other)
    if assignment is not None:
        value = exact_rational(assignment.group(1))
        return None if value is None else _compare_numbers(number, value)
    if other.endswith("%"):
        value = exact_rational(other[:-1])
        if value is None:
            return None
        if value / 100 == number:
            return True
        # Math-Verify also takes 50% for 50, if both are integers
        return False if _surely_different(value / 100, number) and _surely_different(value, number) else None
    _, (value_of_quantity, unit) = split_units(str(number), other)
    return decide(str(number), normalise(value_of_quantity)) if unit else None


def _compare_quantities(gold: str, answer: str) -> bool | None:
    (left, left_unit), (right, right_unit) = split_units(gold, answer)
    if not left_unit and not right_unit:
        return None
    return decide(normalise(left), normalise(right)) if same_kind(left_unit, right_unit) else False


def _same_ratio(gold: str, answer: str) -> bool:
    """Whether both are one ratio of three or more numbers, which is no quotient."""
    if not (_RATIO.fullmatch(gold) and _RATIO.fullmatch(answer)):
        return False
    left, right = ([int(part) for part in side.split(":")] for side in (gold, answer))
    return len(left) == len(right) and all(a * right[0] == b * left[0] for a, b in zip(left, right, strict=True))


def _same_time(gold: str, answer: str) -> bool:
    """Whether both are one time of day; `14:30` is one beside `2:30 pm`, and else a ratio."""
    clocks = [_TWELVE_HOURS.fullmatch(side) for side in (gold, answer)]
    if clocks == [None, None]:
        return False
    minutes = [_minutes(clock, side) for clock, side in zip(clocks, (gold, answer), strict=True)]
    return minutes[0] is not None and minutes[0] == minutes[1]


def _minutes(clock: re.Match[str] | None, side: str) -> int | None:
    if clock is not None:
        return (int(clock[1]) % 12 + 12 * (clock[3] == "p")) * 60 + int(clock[2] or 0)
    day = _DAY_HOURS.fullmatch(side)
    return None if day is None else int(day[1]) * 60 + int(day[2])


def _compare_percentages(gold: str, answer: str, otherwise: bool | None) -> bool | None:
    if otherwise is not None or not (gold.endswith("%") and answer.endswith("%")):
        return otherwise
    left, right = exact_rational(gold[:-1]), exact_rational(answer[:-1])
    if left is None or right is None:
        return None
    return _compare_numbers(left / 100, right / 100)


def _compare_words(gold: str, answer: str, otherwise: bool | None) -> bool | None:
    if otherwise is not None:
        return otherwise
    if _LETTER.fullmatch(gold) and _LETTER.fullmatch(answer):
        return gold.lower() == answer.lower()
    if (_LETTER.fullmatch(gold) and _is_words(answer)) or (_LETTER.fullmatch(answer) and _is_words(gold)):
        return False
    if _is_words(gold) and _is_words(answer):
        return gold.replace(" ", "").lower() == answer.replace(" ", "").lower()
    if not (gold.isascii() or answer.isascii()) and not re.search(r"[0-9\\=+*/^]", gold + answer):
        return gold.casefold() == answer.casefold()  # words of another script
    return None


def _is_words(text: str) -> bool:
    if _CAPITALS.fullmatch(text) or text.lower() in _SHORT_WORDS:
        return True
    if len(text) < _WORD_LETTERS or not _WORDS.fullmatch(text):
        return False
    return not _MATHEMATICAL.search(text)


def _compare_sequences(gold: str, answer: str) -> bool | None:
    left, right = _sequence(gold), _sequence(answer)
    if left is None or right is None or left.kind != right.kind:
        return None
    left_items, right_items = left.items, right.items
    if left.kind == "set":
        if len(set(left_items)) < len(left_items) or len(set(right_items)) < len(right_items):
            return None
        left_items, right_items = tuple(sorted(left_items)), tuple(sorted(right_items))
    if len(left_items) != len(right_items):
        return False
    verdicts = [_compare_numbers(a, b) for a, b in zip(left_items, right_items, strict=True)]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _sequence(text: str) -> _Sequence | None:
    """Read a tuple, interval, set, bare list or matrix of exact numbers."""
    matrix = _MATRIX.fullmatch(text)
    if matrix is not None:
        rows = [row.split("&") for row in matrix.group(2).removesuffix(r"\\").split(r"\\")]
        items = _rationals([item for row in rows for item in row])
        rectangular = len({len(row) for row in rows}) == 1
        return _Sequence(f"matrix {len(rows)}x{len(rows[0])}", items) if items and rectangular else None
    if text.startswith(r"\{") and text.endswith(r"\}"):
        items = _rationals(text[2:-2].split(","))
        return _Sequence("set", items) if items else None
    if "," not in text:
        return None
    if text[0] in _SEQUENCE_ENDS and text[-1] in _SEQUENCE_ENDS[text[0]]:
        items = _rationals(text[1:-1].split(","))
        return _Sequence(text[0] + text[-1], items) if items else None
    parts = text.split(",")
    if any(len(part) == 3 for part in parts[1:]):
        return None  # 1,234,5 may be a number and a number
    items = _rationals(parts)
    return _Sequence("set", items) if items else None


def _rationals(texts: list[str]) -> tuple[Fraction, ...] | None:
    values = [exact_rational(text) for text in texts]
    return tuple(value for value in values if value is not None) if None not in values else None
