"""What a valid question is, and what is known about it, apart from any model.

A world never helps an agent: `known_answer` is for audits and held-out evaluation only.
"""

from __future__ import annotations

from typing import Literal, Protocol

from agent0.tiny.grammar import ArithmeticWorld

MIN_QUESTION_CHARACTERS = 10
MAX_QUESTION_CHARACTERS = 2000


class World(Protocol):
    """The rules of a domain of questions."""

    def rejection(self, question: str) -> str | None:
        """Return why `question` is no valid question, as a short snake_case reason, or None if it is one."""

    def known_answer(self, question: str) -> str | None:
        """Return the true answer of a valid question, or None where it is not known."""

    def held_out(self, question: str) -> bool:
        """Return whether `question` is reserved for evaluation and must not be trained on."""


class OpenWorld:
    """Free mathematics: any text of reasonable length; no truth is known."""

    def rejection(self, question: str) -> str | None:
        """See `World`."""
        if len(question) < MIN_QUESTION_CHARACTERS:
            return "too_short"
        if len(question) > MAX_QUESTION_CHARACTERS:
            return "too_long"
        return None

    def known_answer(self, question: str) -> str | None:
        """See `World`: nothing is known."""
        return None

    def held_out(self, question: str) -> bool:
        """See `World`: nothing is reserved."""
        return False


def get_world(name: Literal["arithmetic", "open"]) -> World:
    """Return the world of that name (`RolloutSettings.world`)."""
    return ArithmeticWorld() if name == "arithmetic" else OpenWorld()
