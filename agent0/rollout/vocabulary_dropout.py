"""Vocabulary dropout for the curriculum agent (arXiv 2604.03472): a hard random mask on its output logits.

Off by default; a diversity measure at the source, where the repetition penalty acts on the result. One mask holds for a
whole generation batch and is drawn anew for the next, so no fixed token sequence stays available for long. It acts on
what is drawn only: the trainer's ratio compares the unmasked policy with its older self, so both its sides agree, and
the batch is off-policy to the extent of the mask. Which tokens are protected is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from agent0.errors import UsageError


class VocabularyDropout:
    """A logits processor for `transformers` generation, and the same mask for a trainer's logits.

    Args:
        vocabulary: size of the last axis of the logits.
        retention: probability that an unprotected token stays available, in (0, 1]; 1 changes nothing.
        protected: ids that are never masked: end of text and the tokens of the required format.
        seed: with the step, determines the mask.
    """

    supports_continuous_batching = True

    def __init__(self, vocabulary: int, retention: float, protected: Iterable[int], seed: int = 0) -> None:
        kept = torch.tensor(sorted(set(protected)), dtype=torch.long)
        if not 0 < retention <= 1:
            raise UsageError(f"The retention of vocabulary dropout must lie in (0, 1], not {retention}.")
        if not len(kept):
            raise UsageError("Protect at least the end-of-text token from vocabulary dropout, or no text could end.")
        if int(kept.min()) < 0 or int(kept.max()) >= vocabulary:
            raise UsageError(f"A protected token id lies outside the vocabulary of {vocabulary}.")
        self._vocabulary = vocabulary
        self._retention = retention
        self._protected = kept
        self._seed = seed
        self.dropped = torch.zeros(vocabulary, dtype=torch.bool)
        self.redraw(0)

    def redraw(self, step: int) -> None:
        """Draw the mask of generation batch `step`; the same step gives the same mask on every device."""
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + step) % 2**63)
        self.dropped = torch.rand(self._vocabulary, generator=generator) >= self._retention
        self.dropped[self._protected] = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores`, shape (..., vocabulary), with minus infinity at the dropped tokens.

        Raises:
            UsageError: the last axis is not the vocabulary.
        """
        if scores.shape[-1] != self._vocabulary:
            raise UsageError(
                f"Vocabulary dropout was set up for {self._vocabulary} tokens but the logits have {scores.shape[-1]}; "
                "pass the size of the model's output layer."
            )
        return scores.masked_fill(self.dropped.to(scores.device), float("-inf"))
