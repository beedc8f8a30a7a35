"""A trajectory while it grows: its tokens, mask and log-probabilities, and its budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from agent0.protocol import observation_text
from agent0.sandbox import RunResult
from agent0.types import ToolCall, Trajectory


@dataclass
class TrajectoryBuilder:
    """Token ids of model and tool with an aligned mask (1 drawn, 0 observed), within `response` tokens."""

    prompt: list[int]
    response: int
    completion: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] | None = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    finish: Literal["eos", "length", "turns"] | None = None

    @property
    def room(self) -> int:
        """Tokens left in the budget."""
        return self.response - len(self.completion)

    def append_drawn(self, token_ids: list[int], logprobs: list[float] | None) -> None:
        """Append what the model drew; once a turn has no log-probabilities, the trajectory has none."""
        self.completion += token_ids
        self.mask += [1] * len(token_ids)
        if logprobs is None:
            self.logprobs = None
        elif self.logprobs is not None:
            self.logprobs += logprobs

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

    def trajectory(self, text: str, answer: str | None) -> Trajectory:
        """Return the finished trajectory with its text and answer."""
        assert self.finish is not None
        return Trajectory(
            prompt_ids=tuple(self.prompt),
            completion_ids=tuple(self.completion),
            mask=tuple(self.mask),
            logprobs=None if self.logprobs is None else tuple(self.logprobs),
            text=text,
            tool_calls=tuple(self.calls),
            finish=self.finish,
            answer=answer,
        )


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
        frame = self._encode(observation_text(turn, ""))
        kept = self._encode(output)[-max(1, self._limit - len(frame)) :]
        return self._encode(observation_text(turn, str(self._tokenizer.decode(kept))))

    def _encode(self, text: str) -> list[int]:
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return token_ids


def shown(result: RunResult) -> str:
    """Return what a model sees of a run: its output, and the last line of the error if it failed."""
    if result.status == "ok":
        return result.stdout
    reason = {"error": _last_line(result.stderr)}.get(result.status, f"Error: {result.status.replace('_', ' ')}")
    return f"{result.stdout}{reason}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "Error: the program failed without a message."
