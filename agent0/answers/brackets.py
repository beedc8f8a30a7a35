"""Brackets that belong together: where one closes, and the calls that programs write with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_CLOSING = {"(": ")", "[": "]", "{": "}"}


def balanced_end(text: str, start: int) -> int | None:
    """Return where the bracket at `start` closes; None where it does not, or where brackets cross."""
    open_brackets: list[str] = []
    for position in range(start, len(text)):
        character = text[position]
        if character in _CLOSING:
            open_brackets.append(_CLOSING[character])
        elif character in ")]}":
            if open_brackets.pop() != character:
                return None
            if not open_brackets:
                return position
    return None


def split_items(text: str) -> list[str]:
    """Return the parts of `text` between commas outside all brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def replace_calls(text: str, functions: Mapping[str, Callable[[str], str]]) -> str:
    """Replace each `name(inside)` by what the function of that name returns for `inside`, innermost first."""
    call = re.compile(rf"(?<![A-Za-z\\])({'|'.join(map(re.escape, functions))})\s?\(")
    for match in reversed(list(call.finditer(text))):
        end = balanced_end(text, match.end() - 1)
        if end is not None:
            text = text[: match.start()] + functions[match.group(1)](text[match.end() : end]) + text[end + 1 :]
    return text
