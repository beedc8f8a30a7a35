"""What a model has read of trajectories whose next turn goes on from there, so that it is never read again."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of one sequence in each layer, each of the shape (heads, tokens, width)."""
ROUND_BYTES = 2 * 2**30


class PrefixCache:
    """Keys and values of the sequences that one round of turns left behind; they serve the next round and no later one.

    Args:
        limit: bytes that are kept of a round at most; what does not fit is read again.
    """

    def __init__(self, limit: int = ROUND_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._known: dict[tuple[int, ...], Layers] = {}
        self._kept: dict[tuple[int, ...], Layers] = {}

    def begin_round(self) -> None:
        """Let the sequences kept since the last call be found from now on, and forget those from before."""
        self._known, self._kept, self._held = self._kept, {}, 0

    @property
    def holds_any(self) -> bool:
        """Whether it takes memory."""
        return bool(self._known or self._kept)

    def clear(self) -> None:
        """Give all memory back."""
        self._known, self._kept, self._held = {}, {}, 0

    def keep(self, token_ids: Sequence[int], layers: Layers) -> None:
        """Keep what was read of `token_ids`, if there is room."""
        size = sum(part.nbytes for layer in layers for part in layer)
        if tuple(token_ids) not in self._kept and self._held + size <= self._limit:
            self._kept[tuple(token_ids)] = layers
            self._held += size

    def longest(self, prompt: Sequence[int]) -> tuple[int, Layers]:
        """Return how many of the prompt's first tokens, but never all, were read, and what is kept of them."""
        for length in sorted({len(known) for known in self._known}, reverse=True):
            if length < len(prompt) and (layers := self._known.get(tuple(prompt[:length]))):
                return length, layers
        return 0, []
