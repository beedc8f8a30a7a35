"""Trajectories made fit to read: split into prose, code and tool output, marked, and a few of them chosen.

The texts come from a model and are hostile until escaped; escaping is the template's work, not done
here. Marking compares an answer with the known truth as text or as an exact number; it is a reading
aid and grades nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from agent0.report.history import Example
from agent0.segments import segments as pieces_of

Kind = Literal["prose", "code", "output"]
Mark = Literal["right", "wrong", "unknown"]

_KINDS: Mapping[str, Kind] = {"program": "code", "output": "output"}
MAX_CHARACTERS = 6_000
BIDIRECTIONAL_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Segment:
    """A run of lines of one kind; fences are left out."""

    kind: Kind
    text: str


def segments(text: str) -> list[Segment]:
    """Split a trajectory at its programs and outputs; an unclosed block runs to the end."""
    found: list[Segment] = []
    for piece in pieces_of(text):
        kind = _KINDS.get(piece.kind, "prose")
        shown = text[piece.start : piece.end] if kind == "prose" else piece.text
        if shown.strip():
            found.append(Segment(kind, shown.strip("\n")))
    return found


def mark(example: Example) -> Mark:
    """How the grader judged the answer; 'unknown' where no truth is known."""
    if example.correct is None:
        return "unknown"
    return "right" if example.correct else "wrong"


def choose(examples: Iterable[Example], limit: int = 12) -> list[Example]:
    """At most `limit` examples, taken in turn from each iteration, ordered by iteration."""
    queues: dict[int, list[Example]] = {}
    for example in examples:
        queues.setdefault(example.iteration, []).append(example)
    chosen: list[Example] = []
    depth = 0
    while len(chosen) < limit and any(depth < len(queue) for queue in queues.values()):
        chosen += [queues[number][depth] for number in sorted(queues) if depth < len(queues[number])]
        depth += 1
    return sorted(chosen[:limit], key=lambda example: example.iteration)


def readable(text: str, limit: int = MAX_CHARACTERS) -> str:
    """`text` cut after `limit` characters, with invisible and reordering ones written out as escapes."""
    shown = text[:limit]
    clean = "".join(_visible(character) for character in shown.replace("\r\n", "\n"))
    return clean if len(text) <= limit else f"{clean}\n… {len(text) - limit} more characters are not shown."


def _visible(character: str) -> str:
    if character in "\n\t":
        return character
    if character in BIDIRECTIONAL_CONTROLS or unicodedata.category(character) in ("Cc", "Cs"):
        return f"\\u{ord(character):04x}"
    return character
