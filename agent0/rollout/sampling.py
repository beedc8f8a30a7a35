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


def samplers(sampling: SamplingSettings, draw: DrawOne) -> list[Any]:
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
    return [*chosen, draw]


class DrawOne(LogitsProcessor):  # type: ignore[misc]
    """Draws a token by its probability from each row of logits, and leaves no other; scores: (rows, vocabulary).

    Its random state is its own, so that it can draw in a thread beside whatever else draws from torch's. The scores
    given are used up: `generate` makes a copy of the logits for the processors and keeps none.

    Args:
        keeps_logprobs: whether the log-probabilities of what is drawn are wanted.
    """

    def __init__(self, keeps_logprobs: bool = False) -> None:
        self._keeps = keeps_logprobs
        self._generator: torch.Generator | None = None
        self._logprobs: list[torch.Tensor] = []

    def seed(self, seed: int, device: torch.device) -> None:
        """Let what is drawn on `device` from now on depend on `seed` alone."""
        self._generator = torch.Generator(device).manual_seed(seed)
        self._logprobs = []  # of a batch that was given up

    def taken_logprobs(self) -> list[list[float]] | None:
        """Return the log-probabilities of what was drawn since the last call, (rows, tokens); None if none are kept."""
        drawn, self._logprobs = self._logprobs, []
        return torch.cat(drawn, dim=1).tolist() if drawn else None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` with all but one of each row at minus infinity."""
        cumulated = scores.softmax(dim=-1, dtype=torch.float32).cumsum_(dim=-1)
        total = cumulated[:, -1:]
        # The first place beyond a number below the total: a token of no probability is never it.
        at = torch.rand(total.shape, generator=self._generator, device=total.device)
        at = at.mul(total).clamp(max=total.nextafter(torch.zeros_like(total)))
        drawn = torch.searchsorted(cumulated, at, right=True)
        if self._keeps:
            self._logprobs.append(scores.gather(1, drawn).float() - scores.float().logsumexp(dim=-1, keepdim=True))
        return scores.fill_(-torch.inf).scatter_(1, drawn, 0.0)
