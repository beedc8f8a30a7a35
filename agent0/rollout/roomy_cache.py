"""A key-value cache with room to grow.

The library's own joins each new token to a fresh copy of everything before it. That costs time in proportion to the
length, and where many rows are drawn, the freed copies, each a token too short for the next one, tear the heap of a CPU
into pieces: gigabytes with a model of 135 million weights.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_OWN_PAST = {"cache_params", "state"}
"""Arguments of models that keep their past in something else than a cache of keys and values."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, shape (rows, heads, tokens, width), at the front of larger buffers.

    Keys in float32 on a CPU lie there token beside token, in which order a product of few queries reads them fastest
    (`agent0.rollout.grouped_attention`).

    Args:
        room: tokens that the buffers are longer than needed, whenever they must grow.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self._buffers = (torch.empty(0), torch.empty(0))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the newest tokens and return all; called by the model's attention."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before: int = self.get_seq_length()
        after = before + key_states.shape[-2]
        if before == 0 or after > self._buffers[0].shape[-2]:
            across = key_states.dtype == torch.float32 and key_states.device.type == "cpu"
            self._buffers = (
                self._grown(self.keys, key_states, after, across),
                self._grown(self.values, value_states, after),
            )
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., before:after, :] = states
        keys, values = (buffer[..., :after, :] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep the given rows."""
        super().reorder_cache(beam_idx)
        self._buffers = (self.keys, self.values)

    def _grown(self, held: torch.Tensor, states: torch.Tensor, tokens: int, across: bool = False) -> torch.Tensor:
        rows, heads, _, width = states.shape
        size = tokens + self._room
        buffer = states.new_empty((rows, heads, width, size) if across else (rows, heads, size, width))
        buffer = buffer.mT if across else buffer
        if held.numel():
            buffer[..., : held.shape[-2], :] = held
        return buffer


def roomy_cache(model: Any, room: int) -> DynamicCache | None:
    """Return an empty cache for a model; None for one that keeps its past in another way.

    Layers with a past of fixed size, such as those that attend to a window, are the library's own.
    """
    if _OWN_PAST.intersection(signature(model.forward).parameters):
        return None
    cache = DynamicCache(config=model.config)
    cache.layers = [RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
