"""Where a drawn turn ends: at a block that calls a tool, at the answer, or at the question.

What was drawn behind that place is no part of the trajectory, which is cut with the token that it closes in.
`TurnWatch` lets a backend that sees each token stop there at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agent0.answers.extraction import boxes
from agent0.segments import segments

if TYPE_CHECKING:
    from agent0.rollout.engine import Request

EndsAt = Literal["answer", "question"]
"""What ends a trajectory beside its end token: the first closed box, or the first closed question."""
_MAY_END = re.compile(r"\}|[`~]{3}[ \t\r]*\n|</question>", re.IGNORECASE)
_WINDOW = 16  # characters before a token that, with its own, may be what ends a turn


@dataclass(frozen=True)
class End:
    """What a turn ended with, the text and number of tokens up to there, and the program where a tool is to run one."""

    kind: Literal["call", "answer", "question"]
    text: str
    tokens: int
    program: str = ""
    tool: str = ""


@dataclass(frozen=True)
class TurnRules:
    """What ends a turn: a block with the label of one of the `tools`, and what `ends_at` says."""

    tokenizer: Any
    tools: frozenset[str]
    ends_at: EndsAt | None

    def watch(self, earlier: Sequence[int], *, thinking: bool) -> Callable[[list[int]], bool] | None:
        """Return what tells of tokens behind `earlier` ones of the same turn whether it is over; None if nothing does.

        Args:
            earlier: tokens of the turn that are drawn already.
            thinking: the turn begins inside a thought.
        """
        if not self.tools and self.ends_at is None:
            return None
        return lambda drawn: self.find_end([*earlier, *drawn], thinking=thinking, whole=False) is not None

    def find_end(self, token_ids: Sequence[int], *, thinking: bool, whole: bool) -> End | None:
        """Return the first thing that ends a turn, or None.

        Args:
            token_ids: what the model drew in this turn so far, without an end token.
            thinking: it begins inside a thought, in which nothing counts.
            whole: the model has ended it, or may not go on.
        """
        if not self.tools and self.ends_at is None:
            return None
        text = str(self.tokenizer.decode(token_ids))
        found = self._find(text, thinking, whole)
        if found is None:
            return None
        kind, at, program, tool = found
        tokens = _tokens_up_to(self.tokenizer, token_ids, text[:at])
        return End(kind, str(self.tokenizer.decode(token_ids[:tokens])), tokens, program, tool)

    def _find(
        self, text: str, thinking: bool, whole: bool
    ) -> tuple[Literal["call", "answer", "question"], int, str, str] | None:
        """Return what ends the text first, where that closes, the program to run and the label of the tool for it.

        A proposal ends with its question, since a model that writes on writes a solution or the next question. The
        proposer's own answer, which is only logged, is therefore one that it gave before.
        """
        for piece in segments(text, thinking=thinking, questions=self.ends_at == "question", whole=whole):
            if piece.closed and piece.label in self.tools:
                return "call", piece.end, piece.program, piece.label
            if piece.kind == "question" and piece.closed and piece.text.strip():
                return "question", piece.end, "", ""
            if piece.kind == "prose" and self.ends_at == "answer" and (box := next(boxes(piece.text), None)):
                return "answer", piece.start + box.end, "", ""
        return None


def _tokens_up_to(tokenizer: Any, token_ids: Sequence[int], text: str) -> int:
    """Return how many of the tokens it takes to write `text`, with which they begin and which ends in ASCII."""
    low, high = 1, len(token_ids)
    while low < high:
        middle = (low + high) // 2
        if str(tokenizer.decode(token_ids[:middle])).startswith(text):
            high = middle
        else:
            low = middle + 1
    return low


class Pieces(dict[int, str]):
    """The text of each token by itself, filled in as tokens are drawn."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, token: int) -> str:
        self[token] = str(self._tokenizer.decode([token]))
        return self[token]


class TurnWatch:
    """Follows one request token by token and says when its turn is over.

    Text is only decoded and looked at where the newest token may have ended the turn: with a brace, a fence or a tag,
    or with the last character of the request's stop text.
    """

    def __init__(self, tokenizer: Any, pieces: Pieces, request: Request) -> None:
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._request = request
        self._token_ids: list[int] = []
        self._tail = ""

    def ended_by(self, token: int) -> bool:
        """Take the next token and return whether the turn ends with it."""
        self._token_ids.append(token)
        piece = self._pieces[token]
        before = len(self._tail)
        window = self._tail + piece
        self._tail = window[-_WINDOW:]
        ends, stop = self._request.ends, self._request.stop
        if ends is not None:
            return any(match.end() > before for match in _MAY_END.finditer(window)) and ends(self._token_ids)
        return stop is not None and stop[-1] in piece and stop in str(self._tokenizer.decode(self._token_ids))
