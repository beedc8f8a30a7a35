"""A backend without a model: a function writes each turn. For tests and for trying a protocol out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Generation, Request
from agent0.rollout.turn import Pieces, TurnWatch


class ScriptedBackend:
    """Draws what `write` returns for the text so far, up to where the turn ends or the token limit.

    Args:
        tokenizer: turns texts into tokens and back; its end token closes a turn that does not stop.
        write: from the decoded prompt, with everything that was drawn and observed so far, to the next turn's text.
        concurrency: trajectories at once; None takes batch after batch.
    """

    def __init__(self, tokenizer: Any, write: Callable[[str], str], concurrency: int | None = None) -> None:
        self._tokenizer = tokenizer
        self._pieces = Pieces(tokenizer)
        self._write = write
        self.concurrency = concurrency

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[_Session]:
        """See `agent0.rollout.engine.Backend`."""
        yield _Session(self.generate, watch)

    async def generate(self, request: Request) -> Generation:
        """Return the turn that follows a request's prompt; every token's log-probability is 0."""
        await asyncio.sleep(0)  # let the other trajectories have their turns
        text = self._write(self._tokenizer.decode(request.prompt))
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        watch = TurnWatch(self._tokenizer, self._pieces, request)
        stop = next((number for number, token in enumerate(ids, start=1) if watch.ended_by(token)), None)
        ids = [*ids, self._tokenizer.eos_token_id] if stop is None else ids[:stop]
        if len(ids) > request.max_tokens:
            return Generation(ids[: request.max_tokens], "length", [0.0] * request.max_tokens)
        return Generation(ids, "eos" if stop is None else "stop", [0.0] * len(ids))


class _Session:
    """Hands out turns."""

    def __init__(self, draw: Callable[[Request], Awaitable[Generation]], watch: Watch) -> None:
        self._draw = draw
        self._watch = watch

    async def generate(self, request: Request) -> Generation:
        drawn = await self._draw(request)
        self._watch.drew(len(drawn.token_ids))
        return drawn

    def retire(self) -> None:
        """Nothing waits for a trajectory that has ended."""
