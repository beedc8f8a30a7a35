"""What is told while trajectories are drawn, for whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Told of tokens and trajectories as they come into being."""

    def drew(self, tokens: int) -> None:
        """Take note of `tokens` more tokens that the model drew."""

    def finished(self) -> None:
        """Take note of one more trajectory that has ended."""

    def warn(self, message: str) -> None:
        """Take note of a sentence that a person should read and that stops nothing."""


class _Nobody:
    def drew(self, tokens: int) -> None:
        """See `Watch`."""

    def finished(self) -> None:
        """See `Watch`."""

    def warn(self, message: str) -> None:
        """See `Watch`."""


NOBODY: Watch = _Nobody()
"""A watch that shows nothing."""
