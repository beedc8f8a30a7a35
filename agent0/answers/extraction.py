r"""Finding the final answer in a model's text: a `\boxed{...}`, by counting braces, among the model's own words.

Answers given in prose, or by an `Answer:` line, are the business of the benchmarks that ask for them
(`agent0.evaluation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent0.segments import segments

# A box opens with \boxed{ or \fbox{ (doubled backslashes come from models that write JSON). An escaped
# character, \{ and \} among them, is typeset and opens or closes nothing.
# Without a brace TeX boxes one token; that is an answer where the mathematics, the sentence or the line ends behind it.
_AFTER_TOKEN = r"\$|\\[)\]]|[)}]|[.,;:!?][\s$\\)]|\s(?![0-9])"
_TOKEN = re.compile(
    r"(\\{1,4}(?:boxed|fbox)\s{0,8}\{)"
    rf"|\\{{1,4}}(?:boxed|fbox)(?:\s{{0,8}}(?P<digit>[0-9]|\\[A-Za-z]+)(?={_AFTER_TOKEN})"
    r"|\s{1,8}(?P<letter>[A-Za-z])(?=\$|\\[)\]]))"
    r"|\\.|\{|\}",
    re.DOTALL,
)
_END = "\n\n"  # behind a whole text nothing follows
_OPENS = re.compile(r"\\{1,4}(?:boxed|fbox)")


@dataclass(frozen=True)
class Box:
    """A closed box: its stripped content, where that starts, and where the box ends."""

    content: str
    start: int
    end: int


def boxes(text: str) -> Iterator[Box]:
    r"""Yield the closed boxes of `text` as they close.

    A box that never closes (a truncated text) is no box, and neither is one that holds only whitespace: `\boxed{}` is
    the instruction echoed. `\boxed 2` is a box once something stands behind it, so that no digit can follow. One pass
    over the text, so time is linear in its length.
    """
    first = _OPENS.search(text)
    if first is None:
        return
    open_groups: list[int] = []  # where the content of each open box starts; -1 for a plain brace
    for match in _TOKEN.finditer(text, first.start()):
        token = match.group()
        if match.group("digit") or match.group("letter"):
            yield Box(match.group("digit") or match.group("letter"), match.start(), match.end())
        elif match.group(1) is not None:
            open_groups.append(match.end())
        elif token == "{":
            open_groups.append(-1)
        elif token == "}" and open_groups:
            start = open_groups.pop()
            if start >= 0 and (content := text[start : match.start()].strip()):
                yield Box(content, start, match.end())


def extract_boxed(text: str) -> str | None:
    """Return the content of the last box of `text`, wherever it stands, or None where there is none.

    The last box is the one that starts last, so of nested boxes the innermost counts.
    """
    last = max(boxes(text + _END), key=lambda box: box.start, default=None)
    return None if last is None else last.content


def extract_answer(text: str, *, thinking: bool = False) -> str | None:
    """Return the content of the last box that stands outside programs, outputs and thoughts, or None.

    Args:
        text: what a model wrote, with or without outputs in between.
        thinking: it begins inside a thought.
    """
    own = [piece.text for piece in segments(text, thinking=thinking) if piece.kind == "prose"]
    return next((answer for answer in map(extract_boxed, reversed(own)) if answer is not None), None)
