"""A backend without a model: a function writes each turn. For tests and for trying a protocol out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agent0.rollout.engine import Generation


class ScriptedBackend:
    """Draws what `write` returns for the text so far, up to the stop string or the token limit.

    Args:
        tokenizer: turns texts into tokens and back; its end token closes a turn that does not stop.
        write: from the decoded prompt, with everything that was drawn and observed so far, to the next turn's text.
    """

    def __init__(self, tokenizer: Any, write: Callable[[str], str]) -> None:
        self._tokenizer = tokenizer
        self._write = write

    def generate(self, prompts: Sequence[list[int]], max_tokens: Sequence[int], stop: str | None) -> list[Generation]:
        """See `agent0.rollout.engine.Backend`; every token's log-probability is 0."""
        return [self._draw(prompt, limit, stop) for prompt, limit in zip(prompts, max_tokens, strict=True)]

    def _draw(self, prompt: list[int], limit: int, stop: str | None) -> Generation:
        text = self._write(self._tokenizer.decode(prompt))
        stopped = stop is not None and stop in text
        if stop is not None and stopped:
            text = text[: text.index(stop) + len(stop)]
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        if not stopped:
            ids = [*ids, self._tokenizer.eos_token_id]
        if len(ids) > limit:
            return Generation(ids[:limit], "length", [0.0] * limit)
        return Generation(ids, "stop" if stopped else "eos", [0.0] * len(ids))
