"""Patience with a service that is away or busy: attempts until a deadline, with pauses between them that grow."""

from __future__ import annotations

import asyncio
import random

SHOWN_CHARACTERS = 300


class Patience:
    """The pauses between the attempts of one request, made where an event loop runs.

    Attributes:
        deadline: the loop's time at which the request is given up.
    """

    def __init__(self, seconds: float, first_pause: float, longest_pause: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self.deadline = self._clock() + seconds
        self._pause, self._longest = first_pause, longest_pause
        self._chance = random.Random()  # not that of the stage, whose draws are repeated

    async def wait(self) -> bool:
        """Wait before the next attempt, or return False at once where the deadline would be met first.

        Each pause is twice as long as the one before it, up to the longest, times 0.5 to 1.5 by chance.
        """
        seconds = self._pause * self._chance.uniform(0.5, 1.5)
        if self._clock() + seconds >= self.deadline:
            return False
        await asyncio.sleep(seconds)
        self._pause = min(2 * self._pause, self._longest)
        return True


def shown(answer: bytes) -> str:
    """Return the beginning of an answer, as an error quotes it."""
    text = answer.decode("utf-8", errors="replace").strip()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} …"
