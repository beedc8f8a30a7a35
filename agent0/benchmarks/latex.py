r"""LaTeX as a person reads it: without fonts, spacing and escapes. Formulas stay as they are."""

from __future__ import annotations

import re

_FONT = (
    r"\\{1,4}(?:text(?:bf|it|rm|sf|tt|sc|sl|up|md|normal)?|math(?:bf|it|rm|sf|tt|normal)|bm|bold|boldsymbol|pmb|emph"
    r"|underline|mbox|hbox|fbox|boxed|ensuremath|operatorname\*?|(?:textcolor|colorbox)\s*+\{[^{}]*+\})(?![a-zA-Z])\s*+"
)
_TOKEN = re.compile(
    rf"(?P<font>{_FONT}\{{)|(?P<open>\{{)|(?P<close>\}})|\\(?P<escaped>[%$#&_{{}}])"
    r"|(?P<blank>\\(?:[,;:> ]|q?quad(?![a-zA-Z]))|~)"
    rf"|(?P<nothing>\\[!()\[\]]|{_FONT}|\\(?:left|right|[bB]igg?[lrm]?|(?:display|text)style|bf|it|rm|sf|tt"
    r"|bfseries|itshape|small|[lL]arge|LARGE|[hH]uge|color\{[^{}]*+\})(?![a-zA-Z])\s*+)"
    r"|\\.",
    re.DOTALL,
)


def plain(text: str) -> str:
    r"""Return the text without fonts, however deep, spacing, escapes and math delimiters.

    `\text{yes},\;\textbf{no}` is `yes, no` and `12\%` is `12%`. Braces of no font stay, and so does a single
    dollar. Time is linear in the text.
    """
    if "\\" not in text and "~" not in text:
        return _without_dollars(text, text.count("$"))
    pieces: list[str] = []
    fonts: list[bool] = []  # of each open brace: whether it belongs to a font
    end = dollars = 0
    for token in _TOKEN.finditer(text):
        before = text[end : token.start()]
        dollars += before.count("$")
        pieces.append(before)
        pieces.append(_read(token, fonts))
        end = token.end()
    pieces.append(text[end:])
    dollars += text[end:].count("$")
    if dollars % 2 == 0:  # an escaped one is a piece of its own
        pieces[::2] = [piece.replace("$", "") for piece in pieces[::2]]
    return "".join(pieces).strip()


def _without_dollars(text: str, count: int) -> str:
    return (text if count % 2 else text.replace("$", "")).strip()


def _read(token: re.Match[str], fonts: list[bool]) -> str:
    """Return what a person sees of a token."""
    kind = token.lastgroup
    if kind in ("font", "open"):
        fonts.append(kind == "font")
        return "" if kind == "font" else "{"
    if kind == "close":
        return "" if fonts and fonts.pop() else "}"
    if kind == "escaped":
        return token["escaped"]
    return {"blank": " ", "nothing": ""}.get(kind or "", token.group())
