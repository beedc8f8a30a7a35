r"""What Math-Verify drops in silence, so that it must agree before Math-Verify may look.

It reads `\neq 5`, `5 \ldots` and `2516_9` as the plain numbers and a set as a tuple. A rule here only ever says that
two answers differ.
"""

from __future__ import annotations

import re

from agent0.answers.groups import balanced_end, split_items

_ORDER = re.compile(
    r"[<>]|\\(?:leq|geq|neq|notin|ll|gg|subset|subseteq|not)(?![a-zA-Z])|\\in ?[-0-9]|^\\in(?![a-zA-Z])"
)
_UNEQUAL = re.compile(r"\\neq")
_LEADING = re.compile(r"(?:[<>]=?|\\(?:leq|geq|neq|ll|gg)(?![a-zA-Z])|\\not(?![a-zA-Z]))")
_RANGE = re.compile(
    r"[(\[][^()\[\]]*,|\\(?:cup|infty|mathbb|emptyset|setminus)(?![a-zA-Z])|\\\{|(?<![\\A-Za-z])[^\W\d_]{4,}"
)
_DOTS = re.compile(r"\\ldots|\.\.\.?")
_CUT_DECIMAL = re.compile(r"[-+]?[0-9]*\.[0-9]+ ?(?:\\ldots|\.\.\.)")
_BASED = re.compile(r"\(?([0-9A-Z]+)\)?_(?:\{?\(?([0-9]+)\)?\}?|\{ ?(?:base )?([a-z]+) ?\})")
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
_BASES |= {"ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16"}
_SIGN_PAIR = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")


def differ(gold: str, answer: str) -> bool:
    """Whether two normal forms cannot be equal because only one of them has a mark that changes all it says."""
    return (
        _one_is_ordered(gold, answer)
        or _one_is_a_relation(gold, answer)
        or _one_has_dots(gold, answer)
        or _one_has_both_signs(gold, answer)
        or _bases_differ(gold, answer)
    )


def begins_with_relation(form: str) -> bool:
    r"""Whether a relation has nothing on its left: `\geq 5`."""
    return _LEADING.match(form) is not None


def _one_is_a_relation(gold: str, answer: str) -> bool:
    left, right = (_ORDER.search(side) is not None for side in (gold, answer))
    if left == right:
        unequal = [_UNEQUAL.search(side) is not None for side in (gold, answer)]
        return unequal[0] != unequal[1] and not re.search(r"\bor\b", gold + answer)
    return _RANGE.search(answer if left else gold) is None


def _one_has_dots(gold: str, answer: str) -> bool:
    left, right = (_DOTS.search(side) is not None and not _CUT_DECIMAL.fullmatch(side) for side in (gold, answer))
    return left != right


def _one_has_both_signs(gold: str, answer: str) -> bool:
    left, right = (_SIGN_PAIR.search(side) is not None for side in (gold, answer))
    return left != right and not re.search(r",|\\\{|\bor\b|\band\b", answer if left else gold)


def _bases_differ(gold: str, answer: str) -> bool:
    """Whether the bases differ; an answer may leave out the base that the gold names, never the other way round."""
    left, right = based(gold), based(answer)
    if left is None or right is None:
        return right is not None and gold.isdecimal()
    return left != right


def based(form: str) -> tuple[str, str] | None:
    """Return the digits and the base of a number that names its base: `2516_8`, `(101)_{two}`; else None."""
    match = _BASED.fullmatch(form)
    if match is None or not (match[2] or match[3] in _BASES) or not re.search("[0-9]|..", match[1]):
        return None
    return match[1].lstrip("0"), match[2] or _BASES[match[3]]


def _one_is_ordered(gold: str, answer: str) -> bool:
    return {_enclosure(gold), _enclosure(answer)} == {"set", "tuple"}


def _enclosure(form: str) -> str | None:
    if form.startswith(r"\{") and form.endswith(r"\}") and len(split_items(form[2:-2])) > 1:
        return "set"
    if form.startswith("(") and balanced_end(form, 0) == len(form) - 1 and len(split_items(form[1:-1])) > 1:
        return "tuple"
    return None
