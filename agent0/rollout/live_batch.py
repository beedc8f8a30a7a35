"""The rows of a batch that are still being drawn, with the model's key-value cache.

A prompt that several rows have is read once, and of one that continues an earlier turn only what is new. Rows leave a
batch by being dropped from ids, mask and cache alike, so generation goes on from the cache and what was read is never
read again. Padding that has become superfluous stays: batches hold prompts of like lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from agent0.errors import Agent0Error
from agent0.rollout.prefix_cache import Layers, PrefixCache
from agent0.rollout.roomy_cache import RoomyLayer, roomy_cache


@dataclass(frozen=True)
class LiveBatch:
    """Padded rows; `ids` and `mask` have the shape (rows, tokens), and the last token of each row is no padding.

    The cache lacks at least the newest token, or is empty; None where the model keeps its past in another way.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    cache: DynamicCache | None

    @classmethod
    def of(
        cls, prompts: Sequence[Sequence[int]], pad: int, model: Any, interval: int, prefixes: PrefixCache
    ) -> LiveBatch:
        """Return a batch to be drawn `interval` tokens at a time, of which `prefixes` may know a part."""
        cache = roomy_cache(model, interval)
        if cache is None:
            return _padded(prompts, [0] * len(prompts), pad, model, None)
        different = {tuple(prompt): place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        found = [prefixes.longest(prompt) for prompt in different]
        known = [length for length, _ in found]
        _fill(cache, known, [layers for _, layers in found])
        batch = _padded(list(different), known, pad, model, cache)
        if len(different) == len(prompts):
            return batch
        rows = torch.tensor([different[tuple(prompt)] for prompt in prompts], device=model.device)
        _read_all_but_last(batch, cache, model)
        cache.reorder_cache(rows)  # what beam search calls: unlike batch_select_indices, each kind of layer has it
        return cls(batch.ids[rows], batch.mask[rows], cache)

    def arguments(self) -> dict[str, Any]:
        """Return what `generate` needs to go on."""
        cached = {} if self.cache is None else {"past_key_values": self.cache}
        return {"input_ids": self.ids, "attention_mask": self.mask, **cached}

    def keep(self, row: int, token_ids: Sequence[int], prefixes: PrefixCache) -> None:
        """Keep what was read of a row, whose tokens are `token_ids` by now, for its next turn."""
        if self.cache is None or not all(isinstance(layer, RoomyLayer) for layer in self.cache.layers):
            return  # layers that forget what lies outside a window cannot be cut into rows
        prompt = self.mask[row].nonzero().flatten()
        drawn = torch.arange(self.ids.shape[1], self.cache.get_seq_length(), device=prompt.device)
        columns = torch.cat([prompt, drawn])[: len(token_ids)]
        layers = [(layer.keys[row][:, columns], layer.values[row][:, columns]) for layer in self.cache.layers]
        prefixes.keep(token_ids[: len(columns)], layers)

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
            self.cache.reorder_cache(kept)
        drawn = output.sequences.shape[1] - self.ids.shape[1]
        mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), drawn)], dim=1)
        return LiveBatch(output.sequences[kept], mask[kept], self.cache)


def _padded(
    prompts: Sequence[Sequence[int]], known: Sequence[int], pad: int, model: Any, cache: DynamicCache | None
) -> LiveBatch:
    """Return rows of two parts, what is known and what is not, each padded on the left."""
    new = [len(prompt) - length for prompt, length in zip(prompts, known, strict=True)]
    border, width = max(known), max(known) + max(new)
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros_like(ids)
    for row, (prompt, length) in enumerate(zip(prompts, known, strict=True)):
        columns = torch.cat([torch.arange(border - length, border), torch.arange(width - new[row], width)])
        ids[row, columns] = torch.tensor(prompt)
        mask[row, columns] = 1
    return LiveBatch(ids.to(model.device), mask.to(model.device), cache)


def _fill(cache: DynamicCache, known: Sequence[int], rows: Sequence[Layers]) -> None:
    """Put what is known of each row into an empty cache, padded on the left to one length."""
    some = next((layers for layers in rows if layers), None)
    if some is None:
        return
    border = max(known)
    for layer, (like, _) in enumerate(some):
        heads, _, width = like.shape
        states = like.new_zeros((2, len(rows), heads, border, width))
        for row, (length, layers) in enumerate(zip(known, rows, strict=True)):
            if length:
                states[0, row, :, border - length :], states[1, row, :, border - length :] = layers[layer]
        cache.update(states[0], states[1], layer)


def _read_all_but_last(batch: LiveBatch, cache: DynamicCache, model: Any) -> None:
    """Let the model read what the cache lacks, but for the newest token."""
    read = cache.get_seq_length()
    if read < batch.ids.shape[1] - 1:
        mask = batch.mask[:, :-1]
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        model.base_model(
            input_ids=batch.ids[:, read:-1],
            attention_mask=mask,
            position_ids=positions[:, read:],
            past_key_values=cache,
            use_cache=True,
        )
