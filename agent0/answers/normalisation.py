r"""One canonical spelling for answers that differ only in how they are written.

Two answers with the same canonical form are the same answer. The converse does not hold: forms that differ
may still be equal, which `agent0.answers.exact_rules` and then Math-Verify decide. Nothing here evaluates an
expression.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from agent0.answers.brackets import balanced_end
from agent0.answers.characters import PLAIN
from agent0.answers.quantities import without_currency
from agent0.answers.spelling import spell

# Beyond this many characters a number is compared as text: converting it costs time quadratic in its length.
MAX_NUMBER_CHARACTERS = 400
# A larger exponent of ten would build a number of that many digits.
MAX_DECIMAL_EXPONENT = 400
_MAX_PASSES = 8

_WRAPPED_TEXT = re.compile(
    r"\\(?:text|mathrm|textrm|textbf|mathbf|textit|mathit|operatorname|mbox|textnormal|textup)"
    r"\s*\{(?!\s*[ijk]\s*\})((?:[^{}\\]|\{[^{}\\]*\})*)\}"
)
_SINGLE = re.compile(r"([_^])\{ *([0-9A-Za-z]) *\}(?![0-9])")
_CLOCK = re.compile(r"([0-9]{1,2}(?::[0-9]{2})?) ?([AaPp])\.? ?[Mm]\.?")
_LOOSE_SPACE = re.compile(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])")
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?|[-+]?[0-9]{1,3}(?: [0-9]{3})+(?:\.[0-9]*)?")
_DECIMAL = re.compile(r"(?![-+]?[0-9]+[eE][-+][12]$)([-+]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]{1,9}))?")
_POWER_OF_TEN = re.compile(r"(?:([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\\times ?|([-+]?))10\^\{?(-?[0-9]{1,9})\}?")
_MIXED = re.compile(r"(-?)([0-9]{1,9}) ?(?:\\frac\{([0-9]{1,9})\}\{([0-9]{1,9})\}|(?<= )([0-9]{1,9})/([0-9]{1,9}))")
_OPTION = re.compile(r"\(([A-Za-z])\)")
_RATIO = re.compile(r"([-+]?)(?:\\frac\{([-+]?[0-9]+)\}\{([-+]?[0-9]+)\}|([0-9]+)/([0-9]+))")
_ENCLOSURES = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    (r"\boxed{", "}"),
    (r"\fbox{", "}"),
    ("**", "**"),
    ("```", "```"),
    ("`", "`"),
)
_STOPS = (".", ",", ";", ":")
_OPENINGS = tuple(opening[0] for opening, _ in _ENCLOSURES)


def clean(answer: str) -> str:
    r"""Return the answer without what surrounds it: blanks, math delimiters, an outer box, code marks, a final stop.

    Full-width characters and typographic signs become the ASCII ones that they stand for.
    """
    text = answer.translate(PLAIN) if not answer.isascii() else answer
    text = _unwrap(text.strip())
    if text.endswith(("\\", *_STOPS)) and not text.endswith(".."):
        text = text.rstrip("\\ ")  # a backslash is what a stripped `\ ` leaves
        text = (text[:-1] if text.endswith(_STOPS) else text).rstrip("\\ ")
    return text


def spelled(answer: str) -> str:
    """Return the answer in the one spelling that Math-Verify is asked with: no delimiters, no currency."""
    return spell(without_currency(clean(answer)))


def normalise(answer: str) -> str:
    r"""Return the canonical form of an answer; the empty string for a blank one.

    Exact rationals come out in lowest terms: `0.50`, `\frac{2}{4}` and `1/2` are all `1/2`, `1,000` is
    `1000`.
    """
    if answer.isdecimal() and answer.isascii() and len(answer) <= MAX_NUMBER_CHARACTERS:
        return str(int(answer))
    form = _pass(answer)
    for _ in range(_MAX_PASSES):  # taking one wrapping off may lay the next one bare
        again = form if form.isalnum() else _pass(form)
        if again == form:
            break
        form = again
    return form


def _pass(answer: str) -> str:
    text = clean(answer)
    if len(text) > MAX_NUMBER_CHARACTERS and _is_digits(text):
        return _long_integer(text)
    text = spell(without_currency(text.replace("{,}", ",").replace(r"\%", "%"))).replace(r"\$", "").replace("$", "")
    if "\\" in text:
        text = _WRAPPED_TEXT.sub(lambda match: f" {match.group(1).strip()} ", text)
    if "{" in text:
        text = _group_content(_SINGLE.sub(r"\1\2", text).strip())
    text = text.lstrip("= ")
    text = " ".join(text.split())
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "").replace(" ", "")
    number = exact_rational(text)
    if number is not None:
        return str(number)
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        return f"{clock.group(1).lstrip('0')} {clock.group(2).lower()}m"
    option = _OPTION.fullmatch(text)
    if option is not None:
        return option.group(1)
    text = _LOOSE_SPACE.sub("", text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def exact_rational(text: str) -> Fraction | None:
    r"""Return the exact value of an integer, a decimal, `a/b`, `\frac{a}{b}` or a mixed number, else None.

    Longer numbers and larger exponents than the limits of this module are None too, and so is a zero
    denominator.
    """
    if not text or len(text) > MAX_NUMBER_CHARACTERS or text[-1] not in "0123456789.}":
        return None
    match = _DECIMAL.fullmatch(text)
    if match is not None:
        sign, whole, decimals, exponent = match.groups()
        return _scaled(sign, whole, decimals or "", int(exponent or 0))
    match = _POWER_OF_TEN.fullmatch(text)
    if match is not None:
        mantissa = exact_rational(match.group(1) or f"{match.group(2)}1")
        power = int(match.group(3))
        return None if mantissa is None or abs(power) > MAX_DECIMAL_EXPONENT else mantissa * Fraction(10) ** power
    match = _RATIO.fullmatch(text)
    if match is not None:
        sign, whole = match.group(1), 0
        top, bottom = int(match.group(2) or match.group(4)), int(match.group(3) or match.group(5))
    else:
        match = _MIXED.fullmatch(text)
        if match is None:
            return None
        sign, whole = match.group(1), int(match.group(2))
        top, bottom = int(match.group(3) or match.group(5)), int(match.group(4) or match.group(6))
        if top >= bottom:  # 5 7/2 is no mixed number
            return None
    if bottom == 0:
        return None
    value = whole + Fraction(top, bottom)
    return -value if sign == "-" else value


def _group_content(text: str) -> str:
    """Return what stands in a group that is the whole text; a list in braces is a set and stays."""
    whole = text.startswith("{") and balanced_end(text, 0) == len(text) - 1 and "," not in text
    return text[1:-1].strip() if whole else text


def _scaled(sign: str, whole: str, decimals: str, power: int) -> Fraction | None:
    if not whole + decimals or abs(power) > MAX_DECIMAL_EXPONENT:
        return None
    power -= len(decimals)
    value = Fraction(int(whole + decimals) * 10 ** max(power, 0), 10 ** max(-power, 0))
    return -value if sign == "-" else value


def _unwrap(text: str) -> str:
    """Take off math delimiters, boxes, bold and code marks that enclose the whole answer."""
    if not text.startswith(_OPENINGS):
        return text
    for _ in range(4):
        for opening, closing in _ENCLOSURES:
            inner = text[len(opening) : len(text) - len(closing)]
            if (
                len(text) > len(opening) + len(closing)
                and text.startswith(opening)
                and text.endswith(closing)
                and opening not in inner
                and (closing != "}" or _balanced(inner))
            ):
                text = inner.strip()
                break
        else:
            return text
    return text


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def _is_digits(text: str) -> bool:
    body = text[1:] if text[0] in "+-" else text
    return body.isascii() and body.isdigit()


def _long_integer(text: str) -> str:
    sign = "-" if text[0] == "-" else ""
    body = text.lstrip("+-").lstrip("0")
    return sign + body if body else "0"
