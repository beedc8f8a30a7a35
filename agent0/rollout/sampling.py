"""How the transformers backend draws a token: the library's filters, then one draw for each row.

The library draws by as many exponential variables as there are rows times words of the vocabulary, one after another on
a CPU: a quarter of the time of a small model. Here one uniform variable a row is looked up in its cumulated
probabilities; the distribution is the same. Scores are overwritten where they lie: a fresh table of rows times words
costs a CPU as much, for the pages that it lies on, as the arithmetic.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from agent0.config import SamplingSettings


def samplers(sampling: SamplingSettings) -> list[Any]:
    """Return what leaves one token of each row of logits; none for greedy drawing, which takes the likeliest."""
    if sampling.temperature == 0:
        return []
    chosen: list[Any] = []
    if sampling.temperature != 1:
        chosen.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chosen.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chosen.append(TopPLogitsWarper(sampling.top_p))
    return [*chosen, DrawOne()]


class DrawOne(LogitsProcessor):  # type: ignore[misc]
    """Draws a token by its probability from each row of logits, and leaves no other; scores: (rows, vocabulary).

    The scores given are used up: `generate` makes a copy of the logits for the processors and keeps none.
    """

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` with all but one of each row at minus infinity, from torch's own random state."""
        cumulated = scores.softmax(dim=-1, dtype=torch.float32).cumsum_(dim=-1)
        total = cumulated[:, -1:]
        # The first place beyond a number below the total: a token of no probability is never it.
        at = torch.rand_like(total).mul(total).clamp(max=total.nextafter(torch.zeros_like(total)))
        drawn = torch.searchsorted(cumulated, at, right=True)
        return scores.fill_(-torch.inf).scatter_(1, drawn, 0.0)
