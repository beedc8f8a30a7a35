"""Where a turn stops: a check for `transformers` generation that is made once and serves batch after batch."""

from __future__ import annotations

from typing import Any

import torch
from transformers import StoppingCriteria, StopStringCriteria


class StopCheck(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once a text is complete and remembers where, since padding may look like an end token.

    Making one reads the whole vocabulary (a second for 150,000 tokens), so whoever draws keeps it.

    Attributes:
        lengths: tokens drawn up to and including the text since `begin`, -1 where it has not come; shape (rows,).
    """

    def __init__(self, tokenizer: Any, stop: str) -> None:
        self._complete = StopStringCriteria(tokenizer, [stop])
        self._width = 0
        self.lengths = torch.empty(0, dtype=torch.long)

    def begin(self, ids: torch.Tensor) -> None:
        """Forget the rows seen before; the next calls see `ids`, shape (rows, tokens), and what is drawn behind it."""
        self._width = ids.shape[1]
        self.lengths = torch.full((ids.shape[0],), -1, device=ids.device)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which rows are complete, shape (rows,)."""
        hit: torch.Tensor = self._complete(input_ids, scores, **kwargs)
        self.lengths[hit & (self.lengths < 0)] = input_ids.shape[1] - self._width
        return hit
