"""The rows of a batch that are still being drawn, with the model's key-value cache.

Rows leave a batch by being dropped from ids, mask and cache alike, so generation goes on from the cache and what was
read is never read again. Padding on the left that has become superfluous stays: batches hold prompts of like lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from agent0.errors import Agent0Error
from agent0.rollout.roomy_cache import roomy_cache


@dataclass(frozen=True)
class LiveBatch:
    """Left-padded rows; `ids` and `mask` have the shape (rows, tokens).

    The cache lacks the newest token, or is empty; None where the model keeps its past in another way.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    cache: DynamicCache | None

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], pad: int, model: Any, interval: int) -> LiveBatch:
        """Return a batch of which nothing has been read, to be drawn `interval` tokens at a time."""
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        return cls(ids.to(model.device), mask.to(model.device), roomy_cache(model, interval))

    def arguments(self) -> dict[str, Any]:
        """Return what `generate` needs to go on."""
        cached = {} if self.cache is None else {"past_key_values": self.cache}
        return {"input_ids": self.ids, "attention_mask": self.mask, **cached}

    def after(self, output: Any, rows: Sequence[int], model: Any) -> LiveBatch:
        """Return the given rows with what `generate` drew for them; the batch itself is used up.

        Raises:
            Agent0Error: the model's cache is of a kind that rows cannot be dropped from.
        """
        if self.cache is None:
            raise Agent0Error(
                f"{type(model).__name__} keeps its past in something that finished rows cannot be dropped from; set "
                "rollout.compaction_interval to rollout.max_response_tokens, so that they stay until the whole batch "
                "has ended, or draw with vLLM."
            )
        kept = torch.tensor(rows, device=self.ids.device)
        if len(rows) < len(self.ids):
            # What beam search calls: unlike batch_select_indices, each kind of layer has it.
            self.cache.reorder_cache(kept)
        drawn = output.sequences.shape[1] - self.ids.shape[1]
        mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), drawn)], dim=1)
        return LiveBatch(output.sequences[kept], mask[kept], self.cache)
