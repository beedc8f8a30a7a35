r"""Numbers with a unit, a counted noun or a currency: which part is the value and which only says what is counted.

Units are neither converted nor compared: `12 cm` is `12`, as a question says what it asks for. Words that change the
value (`million`, `half`), the time of day and connectives are no units.
"""

from __future__ import annotations

import re

_LONG_UNITS = (
    "inch(?:es)?|foot|feet|yards?|miles?|(?:kilo|centi|milli)?(?:met(?:er|re)s?|grams?|lit(?:er|re)s?)|pounds?|ounces?"
    "|seconds?|minutes?|hours?|days?|weeks?|months?|years?|degrees?|radians?|dollars?|cents?|units?|Celsius|Fahrenheit"
    "|gallons?|acres?|joules?|newtons?|watts?|volts?|amperes?|amps?|kelvins?|moles?|ergs?|square|cubic|sq\\.?|cu\\.?"
)
_SHORT_UNITS = (
    "[kcmdn]m|in|[km]g|m[lL]|ft|yd|mi|lbs?|oz|mins?|secs?|hrs?|yrs?|mp[hg]|k[mp]h|rpm|rad|deg|[ap]m|cc|atm|ohms?"
)
_SHORT_UNITS += r"|\\Omega|ha|gal|USD|EUR|GBP|RMB|CNY|JPY"
# After a number and a blank only: elsewhere they may be variables, as i and n of `in` hardly are.
_SYMBOLS = r"(?:[kcmdnpfGMT]|\\mu ?)?(?:[msghlLNJWVAKCFTB]|Hz|Pa|eV|Wh|pc|mol|cal|bar)"
_POWER = r"(?:\^ ?(?:\{ ?-?[1-6] ?\}|-?[1-6]))?"
_ANY = rf"(?:{_LONG_UNITS}|{_SHORT_UNITS}|{_SYMBOLS}){_POWER}"
_JOIN = r"(?: ?/ ?| ?\\cdot ?|\*| per | |(?<=\.))"
_DEGREE = r"\^(?:\\circ|\{\\circ\}) ?[CF]?"
_NUMBER = r"[-+]?(?:[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)(?:/[0-9]+)?|[-+]?[0-9]* ?\\frac\{-?[0-9]+\}\{[0-9]+\}"
_NUMBER += r"|[0-9]+ [0-9]+/[0-9]+|[-+]?[0-9]+(?:\.[0-9]*)?\\times ?10\^\{?-?[0-9]+\}?"

_UNIT = re.compile(rf"{_ANY}(?:{_JOIN}{_ANY}){{0,4}}\.?|{_DEGREE}")
_INLINE = rf"{_ANY}(?:{_JOIN}{_ANY}){{0,2}}"
_ATTACHED = re.compile(rf"(?:{_LONG_UNITS}|{_SHORT_UNITS})(?![A-Za-z])|{_DEGREE}")
_QUANTITY = re.compile(rf"(?P<value>(?:{_NUMBER})%?)(?P<gap> ?)(?P<unit>(?:[^\W\d_]|\^|\\(?:mu|Omega)(?![A-Za-z])).*)")
_FORMULA = re.compile(
    rf"(?P<value>.*(?:[0-9)}}]|\\pi)) ?(?P<unit>(?:{_LONG_UNITS}|{_SHORT_UNITS}){_POWER}(?:{_JOIN}{_ANY})*\.?)"
)
_OVER = re.compile(rf"(?P<value>{_NUMBER}) ?\\frac\{{(?P<top>{_INLINE})\}}\{{(?P<bottom>{_INLINE})\}}")
_PLAIN = re.compile(_NUMBER)
# A short word in ASCII must look like one, with a vowel inside: 2 abc is a product.
_WORDS = re.compile(r"(?:[^\W\d_]{4,}|[A-Za-z][aeiouy][a-z]|[^\W\d_A-Za-z]+)(?:[ '-][^\W\d_]+){0,5}")
_ORDINALS = (
    r"(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)tieth|hundredth|thousandth|[mb]illionth)s?"
)
_CHANGES = (
    rf"{_ORDINALS}|(?:ten|hundred|thousand|dozen|lakh|crore|quarter|half)s?|halves|mi[lo]|mill?n|bn|tsd"
    r"|[a-z]*(?:illion|illiard)(?:s|en|es|i)?|тысяч[аи]?|млн|млрд|above|below|negative|squared|cubed|factorial|power|root"
    r"|[^\W\d_]*[万萬亿億千百十兆半倍折成余餘多만억천백조]|以[上下]"
)
"""Words that say another value than the number before them."""
_NO_UNIT = re.compile(
    rf"{_CHANGES}|and|or|to|by|from|of|out|in|mod|choose|times|plus|minus|over|than|not|if|for|when|where|is|are"
    r"|inf|infty|infinity|pct|percent(?:age)?|am|pm|noon|midnight|remainder|base|BCE?|AD|CE|.*[或和月]"
    r"|january|february|march|april|may|june|july|august|september|october|november|december",
    re.IGNORECASE,
)
_CHANGING = re.compile(
    rf"(?<![^\W\d_])(?<!\\)(?:{_CHANGES}|at (?:most|least)"
    r"|(?:or|and) (?:more|less|fewer|greater|higher|lower|over|under|up))(?![^\W\d_])",
    re.IGNORECASE,
)
_MEASURE = rf"(?:{_NUMBER}) ?(?:{_LONG_UNITS}|{_SHORT_UNITS}|[hsm])"
_COMPOUND = re.compile(rf"{_MEASURE},? ?(?:and ?)?{_MEASURE}")
_DIRECTION = re.compile("north|south|east|west|left|right|up|down", re.IGNORECASE)
_CURRENCY = r"(?:(?:US|AU?|CA?|HK|NZ|S)?(?:\\\$|\$)|USD|EUR|GBP|JPY|CNY|RMB|INR|Rs\.?|[€£¥₹₩₽₫]|\\(?:euro|pounds))"
_BEFORE = re.compile(rf"([-+]?)\s*{_CURRENCY}\s*(?=[-+]?\.?[0-9])")
_AFTER = re.compile(rf"(?<=[0-9])\s*{_CURRENCY}")


def without_currency(text: str) -> str:
    """Return `text` without the sign of a currency right before or behind it."""
    before = _BEFORE.match(text)
    text = before.group(1) + text[before.end() :] if before else text
    after = _AFTER.search(text)
    return text[: after.start()] if after and after.end() == len(text) else text


def split_unit(form: str) -> tuple[str, str]:
    r"""Return the value of a quantity and its unit or counted noun; the second is empty where there is none.

    Args:
        form: a normal form: `12 cm^2`, `28 miles per hour`, `2\pi rad`, `28 marbles`, `12元`.
    """
    match = _QUANTITY.fullmatch(form)
    if match is not None:
        unit = match["unit"]
        # A normal form keeps no blank after a bracket or before a command, so length must tell a unit from a variable.
        apart = match["gap"] or unit[0] == "\\" or r"\times" in match["value"] or len(unit) > 2
        if _UNIT.fullmatch(unit) and (apart or _ATTACHED.match(unit)):
            return match["value"], unit
        words = _WORDS.fullmatch(unit) and not _DIRECTION.fullmatch(unit)
        words = words and not any(_NO_UNIT.fullmatch(word) for word in re.split("[ '-]", unit))
        return (match["value"], unit) if words and (apart or not unit.isascii()) else (form, "")
    match = _FORMULA.fullmatch(form)
    return (match["value"], match["unit"]) if match is not None else (form, "")


def split_units(gold: str, answer: str) -> tuple[tuple[str, str], tuple[str, str]]:
    r"""Return value and unit of two normal forms, as `split_unit` does of one.

    In `5\frac{m}{s}` the letters may be variables: it is a quantity beside a plain number or another quantity only.
    """
    left, right = split_unit(gold), split_unit(answer)
    return _over(gold, left, answer, right), _over(answer, right, gold, left)


def _over(form: str, read: tuple[str, str], other: str, other_read: tuple[str, str]) -> tuple[str, str]:
    match = None if read[1] or not (other_read[1] or _PLAIN.fullmatch(other)) else _OVER.fullmatch(form)
    return read if match is None else (match["value"], f"{match['top']}/{match['bottom']}")


def changing_words(form: str) -> list[str]:
    """Return the words of a normal form that change the value beside them; `compound` for `5 ft 3 in`."""
    words = sorted(match.group().lower() for match in _CHANGING.finditer(form))
    return [*words, "compound"] if _COMPOUND.fullmatch(form) else words


def is_unit(text: str) -> bool:
    """Whether the whole text is a unit."""
    return _UNIT.fullmatch(text) is not None


def same_kind(one: str, other: str) -> bool:
    """Whether two units may stand for one another: one is missing, both are units, or the nouns share their words."""
    if not one or not other or (is_unit(one) and is_unit(other)):
        return True
    left, right = (frozenset(word.rstrip("s") for word in unit.lower().split()) for unit in (one, other))
    return left <= right or right <= left
