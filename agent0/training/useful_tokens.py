"""No forward pass over columns that are padding in every row.

TRL pads a generation batch to its longest prompt and completion, and scores and trains on rows of that width. Here rows
of like lengths are scored together, and each pass is cut to what its own rows need. Positions are relative, so all but
rounding stays the same.

Relies on one private method of TRL 1.16's `GRPOTrainer`; `tests/training/test_useful_tokens.py` is the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl import GRPOTrainer

Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""Log-probabilities, entropies, and the load-balancing loss of a mixture of experts."""


class UsefulTokensTrainer(GRPOTrainer):  # type: ignore[misc]
    """`GRPOTrainer` whose passes are as wide as their longest row."""

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Scores:
        """Return log-probabilities and entropies of shape (rows, `logits_to_keep`), 0 where every row of a pass pads.

        Args:
            model: what scores.
            input_ids: prompts, padded on the left, and completions, padded on the right, (rows, tokens).
            attention_mask: of the same shape, 0 where padded.
            logits_to_keep: columns of completions.
            batch_size: rows of a pass; all if None.
            kwargs: for TRL's own method, which does each pass; what concerns images must be None.
        """
        rows, width = input_ids.shape
        by_length = attention_mask.sum(dim=1).argsort(stable=True)
        scored = []
        for part in torch.split(by_length, batch_size or rows):
            left, right = _used(attention_mask[part], width - logits_to_keep)
            logps, entropies, loss = super()._get_per_token_logps_and_entropies(
                model,
                input_ids[part, left:right],
                attention_mask[part, left:right],
                logits_to_keep - (width - right),
                len(part),
                **kwargs,
            )
            scored.append((logps, entropies, loss))
        logps, entropies, losses = zip(*scored, strict=True)
        back = by_length.argsort()
        return (
            _joined(logps, logits_to_keep)[back],
            _joined(entropies, logits_to_keep)[back] if kwargs.get("compute_entropy") else None,
            torch.stack(losses).mean() if kwargs.get("compute_aux_loss") else None,
        )


def _used(mask: torch.Tensor, border: int) -> tuple[int, int]:
    """Return the columns between which some row has a token; at least one before and one behind the border."""
    columns = mask.any(dim=0).nonzero().flatten()
    return min(int(columns[0]), border - 1), max(int(columns[-1]) + 1, border + 1)


def _joined(parts: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
