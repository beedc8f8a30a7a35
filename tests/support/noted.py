"""A watch that remembers what it was told."""

from __future__ import annotations


class Noted:
    """Keeps counts of tokens, in the order in which they came, and of trajectories, and every warning."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.trajectories = 0
        self.warnings: list[str] = []

    def drew(self, tokens: int) -> None:
        self.tokens.append(tokens)

    def finished(self) -> None:
        self.trajectories += 1

    def warn(self, message: str) -> None:
        self.warnings.append(message)
