"""A trajectory while it grows: its tokens, mask and log-probabilities, and its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

from agent0.answers.extraction import extract_answer
from agent0.protocol import observation_text
from agent0.rollout.turn import End
from agent0.types import Finish, ToolCall, Trajectory

_THINK_TOKENS = 12  # that `<think>` and a line break behind it may take
_PART_OF_A_CHARACTER = "\ufffd"  # what a decoder makes of it


@dataclass
class TrajectoryBuilder:
    """Token ids of model and tool with an aligned mask (1 drawn, 0 observed), within `response` tokens.

    `began_thinking` says that the prompt ends inside a thought.
    """

    prompt: list[int]
    response: int
    began_thinking: bool = False
    completion: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] | None = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    finish: Finish | None = None
    draws: int = 0
    _turn_start: int = 0

    @property
    def room(self) -> int:
        """Tokens left in the budget."""
        return self.response - len(self.completion)

    @property
    def thinking(self) -> bool:
        """Whether the turn that is being drawn begins inside a thought."""
        return self.began_thinking and not self.calls

    @property
    def turn(self) -> list[int]:
        """What has been drawn since the prompt or the last observation."""
        return self.completion[self._turn_start :]

    def append_drawn(self, token_ids: list[int], logprobs: list[float] | None) -> None:
        """Append what the model drew; once a turn has no log-probabilities, the trajectory has none."""
        self.draws += 1
        self.completion += token_ids
        self.mask += [1] * len(token_ids)
        if logprobs is None:
            self.logprobs = None
        elif self.logprobs is not None:
            self.logprobs += logprobs

    def end_turn(self, drawn: Literal["eos", "stop", "length"], end: End | None, turns: int) -> None:
        """Cut off what was drawn behind the end of this turn, and finish where no program is to be run now.

        A program beyond the last that may run finishes the trajectory as `turns`.

        Args:
            drawn: why the backend drew no further.
            end: what ended the turn; None where it goes on, or where the model or the budget ended it.
            turns: programs that may run in all; with none, a stop text ends the trajectory.
        """
        if end is None:
            if drawn == "eos" or (drawn == "stop" and not turns):
                self.finish = "eos"
            elif drawn == "length" or not self.room:
                self.finish = "length"
            return
        for aligned in (self.completion, self.mask, self.logprobs or []):
            del aligned[self._turn_start + end.tokens :]
        if end.kind != "call":
            self.finish = "eos"
        elif len(self.calls) >= turns:
            self.finish = "turns"
        elif not self.room:
            self.finish = "length"

    def append_observation(self, call: ToolCall, token_ids: list[int]) -> None:
        """Append what a tool call showed, cut to the budget; a full budget ends the trajectory."""
        self.calls.append(call)
        kept = token_ids[: self.room]
        if len(token_ids) >= self.room:
            self.finish = "length"
        self.completion += kept
        self.mask += [0] * len(kept)
        if self.logprobs is not None:
            self.logprobs += [0.0] * len(kept)
        self._turn_start = len(self.completion)

    def trajectory(self, tokenizer: Any) -> Trajectory:
        """Return the finished trajectory with its text, and the last answer that the model gave in its own words."""
        assert self.finish is not None
        return Trajectory(
            prompt_ids=tuple(self.prompt),
            completion_ids=tuple(self.completion),
            mask=tuple(self.mask),
            logprobs=None if self.logprobs is None else tuple(self.logprobs),
            text=self._opening + str(tokenizer.decode(self.completion, skip_special_tokens=True)),
            tool_calls=tuple(self.calls),
            finish=self.finish,
            answer=self._answer(tokenizer),
        )

    @property
    def _opening(self) -> str:
        """The tag of a thought that the prompt opened, without which a reader of the text would not know of it."""
        return "<think>\n" if self.began_thinking else ""

    def _answer(self, tokenizer: Any) -> str | None:
        """Read each turn by itself, so that nothing in an observation can count as the model's."""
        runs = groupby(zip(self.mask, self.completion, strict=True), key=lambda pair: pair[0])
        turns = [str(tokenizer.decode([token for _, token in run])) for drawn, run in runs if drawn]
        answers = [
            extract_answer(turn, thinking=self.began_thinking and not number) for number, turn in enumerate(turns)
        ]
        return next((answer for answer in reversed(answers) if answer is not None), None)


class Observations:
    """Turns tool output into tokens, at most `limit` of them."""

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self._tokenizer = tokenizer
        self._limit = limit

    def token_ids(self, turn: str, output: str) -> list[int]:
        """Return the tokens of an observation; a long output keeps its end, and the closing fence always stays."""
        token_ids = self._encode(observation_text(turn, output))
        if len(token_ids) <= self._limit or not output:
            return token_ids
        whole, room = self._encode(output), self._limit - len(self._encode(observation_text(turn, "")))
        while True:
            kept = str(self._tokenizer.decode(whole[-max(1, room) :]))
            token_ids = self._encode(observation_text(turn, kept.lstrip(_PART_OF_A_CHARACTER)))
            over = len(token_ids) - self._limit
            if over <= 0 or room <= 1:
                return token_ids
            room -= over

    def _encode(self, text: str) -> list[int]:
        """Return its tokens; what spells a control token is text."""
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return token_ids


def opens_thought(tokenizer: Any, prompt: Sequence[int]) -> bool:
    """Return whether a prompt ends with `<think>`, as the templates of models do that always think."""
    return str(tokenizer.decode(prompt[-_THINK_TOKENS:])).rstrip().lower().endswith("<think>")
