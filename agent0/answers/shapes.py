r"""What Math-Verify drops in silence, so that it must agree before Math-Verify may look.

It reads `\neq 5`, `5 \ldots` and `2516_9` as the plain numbers and a set as a tuple. A rule here only ever says that
two answers differ.
"""

from __future__ import annotations

import re

from agent0.answers.brackets import balanced_end, split_items
from agent0.answers.quantities import changing_words

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


_BASES_INSIDE = re.compile(r"(?<=[0-9])_(?:\{?([0-9]{1,2})\}?|\{ ?(?:base )?([a-z]+) ?\})")
_ASSIGNED = re.compile(r"[A-Za-z]'*(?:\([a-z, ]*\))?=(?!.*=)")
_PRIMED = re.compile(r"(?<![A-Za-z])[A-Za-z]'+(?![a-z])")
_TRANSPOSED = re.compile(r"(?<=[A-Za-z)\]])\^(?:\{ ?(?:T|\\top) ?\}|T(?![a-z])|\\top)")
_VECTOR = re.compile(r"\\(?:vec|overrightarrow|mathbf)(?![a-zA-Z])")
_UNIT_VECTOR = re.compile(r"\\(?:mathbf|hat|bm|boldsymbol) ?\{?\\?([ijk])(?:math)?(?![A-Za-z])")
_CROSS = re.compile(r"\\times(?![a-zA-Z])(?! ?10\^)")
_CAPITAL = re.compile(r"\\(Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega)(?![a-zA-Z])")
_ANGLE = re.compile(r"\\angle ?\{?([A-Z]{3})\}?")
_CONNECTED = re.compile(r"(?<![A-Za-z])(and|or)(?![A-Za-z])")
_NUMBERS = re.compile(r"[-+0-9.,/ ]*(?:(?:and|or)[-+0-9.,/ ]*)+")


def differ(gold: str, answer: str) -> bool:
    """Whether two normal forms cannot be equal because only one of them has a mark that changes all it says."""
    return (
        _one_is_ordered(gold, answer)
        or _one_is_a_relation(gold, answer)
        or _one_has_dots(gold, answer)
        or _one_has_both_signs(gold, answer)
        or _bases_differ(gold, answer)
        or changing_words(gold) != changing_words(answer)
        or _marks_differ(gold, answer)
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
        inside = [sorted(map(_base, _BASES_INSIDE.finditer(side))) for side in (gold, answer)]
        return (right is not None and gold.isdecimal()) or (all(inside) and inside[0] != inside[1])
    return left != right


def _base(match: re.Match[str]) -> str:
    return match[1] or _BASES.get(match[2], match[2])


def _marks_differ(gold: str, answer: str) -> bool:
    r"""Whether one has `and` for the other's `or`, or a prime, a transposition, a vector or a case that it has not."""
    connected = [set(_CONNECTED.findall(side)) for side in (gold, answer)]
    if sorted(map(sorted, connected)) == [["and"], ["or"]] and not all(map(_NUMBERS.fullmatch, (gold, answer))):
        return True
    bare = [_ASSIGNED.sub("", side, count=1) if "=" in side else side for side in (gold, answer)]
    if sorted(_PRIMED.findall(bare[0])) != sorted(_PRIMED.findall(bare[1])):
        return True
    if (_TRANSPOSED.search(bare[0]) is None) != (_TRANSPOSED.search(bare[1]) is None):
        return True
    crossed = [_CROSS.search(side) is None for side in (gold, answer)]
    if crossed[0] != crossed[1] and all(map(_VECTOR.search, (gold, answer))):
        return True
    bold = [sorted(_UNIT_VECTOR.findall(side)) for side in (gold, answer)]
    if all(bold) and bold[0] != bold[1]:
        return True
    angles = [_ANGLE.fullmatch(side) for side in (gold, answer)]
    if angles[0] and angles[1]:
        return angles[0][1] not in (angles[1][1], angles[1][1][::-1])
    return _is_lower_case(gold, answer) or _is_lower_case(answer, gold) or _depth(gold) != _depth(answer)


def _is_lower_case(capital: str, small: str) -> bool:
    """Whether a capital Greek letter of the one is only a small one in the other."""
    missing = set(_CAPITAL.findall(capital)) - set(_CAPITAL.findall(small))
    return any(re.search(rf"\\{letter.lower()}(?![a-zA-Z])", small) for letter in missing)


def _depth(form: str) -> int:
    """Return how deep sets stand in sets; 0 and 1 are alike, since a set of one may stand for what is in it."""
    depth = deepest = 1
    for brace in re.findall(r"\\[{}]", form):
        depth += 1 if brace == r"\{" else -1
        deepest = max(deepest, depth - 1)
    return deepest


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
