"""No forward pass over columns that are padding in every row, and none that reads a group's prompt once for each row.

TRL deals the rows of a generation batch at random into micro-batches, pads all to the longest prompt and completion,
and reads a prompt once for each of the completions that a group drew from it. Here the micro-batches of an update are
dealt anew, rows of one prompt and of like lengths together; each pass is as wide as its own rows need, and reads each
of its prompts once. An update stays the mean over the same rows, positions are relative, so all but rounding stays the
same.

Relies on two private methods and two attributes of TRL 1.16's `GRPOTrainer`; `tests/training/test_useful_tokens.py` is
the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl import GRPOTrainer
from trl.trainer.utils import split_tensor_dict

Batch = dict[str, Any]
"""Tensors whose first axis is the row, and numbers that hold for all rows."""

Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""Log-probabilities, entropies, and the load-balancing loss of a mixture of experts."""

IGNORED = -100


class UsefulTokensTrainer(GRPOTrainer):  # type: ignore[misc]
    """`GRPOTrainer` whose passes are as wide as their longest row and read each prompt once."""

    _buffered_inputs: list[Batch] | None

    @property
    def shares_prompts(self) -> bool:
        """Whether a pass reads each of its prompts once.

        It keeps the prompts' keys and values, which recurrent models do not have and checkpointing throws away; and
        sharded processes must all make the same passes.
        """
        recurrent = self.accelerator.unwrap_model(self.model)._is_stateful
        alone = self.accelerator.num_processes == 1
        return bool(alone and not self.args.gradient_checkpointing and not recurrent)

    def _prepare_inputs(self, generation_batch: Any) -> Batch:
        before = self._buffered_inputs
        inputs: Batch = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is None or self._buffered_inputs is before:
            return inputs
        size = min(self.args.gradient_accumulation_steps, len(self._buffered_inputs))
        updates = [self._buffered_inputs[start : start + size] for start in range(0, len(self._buffered_inputs), size)]
        dealt = [part for update in updates for part in self._dealt_anew(update)]
        self._buffered_inputs = dealt
        step: int = self._step
        return dealt[step % len(dealt)]

    def _dealt_anew(self, parts: Sequence[Batch]) -> list[Batch]:
        """Return the micro-batches of one update with their rows sorted."""
        rows = {
            name: torch.cat([part[name] for part in parts]) if _has_rows(value) else value
            for name, value in parts[0].items()
        }
        order = self._order(rows["prompt_ids"], rows["prompt_mask"], rows["completion_mask"])
        ordered = {name: value[order] if _has_rows(value) else value for name, value in rows.items()}
        return list(split_tensor_dict(ordered, len(parts)))

    def _order(self, prompts: torch.Tensor, prompt_mask: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the order in which rows are passed: by prompt where those are shared, then by length."""
        lengths = prompt_mask.sum(dim=1) + mask.sum(dim=1)
        if not self.shares_prompts:
            return lengths.argsort(stable=True)
        _, prompt = _distinct(prompts, prompt_mask)
        return (prompt * (lengths.max() + 1) + lengths).argsort(stable=True)

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
        border = width - logits_to_keep
        order = self._order(input_ids[:, :border], attention_mask[:, :border], attention_mask[:, border:])
        scored = []
        for part in torch.split(order, batch_size or rows):
            left, right = _used(attention_mask[part], border)
            ids, mask = input_ids[part, left:right], attention_mask[part, left:right]
            if self.shares_prompts and border - left > 1 and not kwargs.get("compute_aux_loss"):
                scored.append(self._score_shared(model, ids, mask, border - left))
            else:
                scored.append(
                    super()._get_per_token_logps_and_entropies(model, ids, mask, right - border, len(part), **kwargs)
                )
        logps, entropies, losses = zip(*scored, strict=True)
        back = order.argsort()
        return (
            _joined(logps, logits_to_keep)[back],
            _joined(entropies, logits_to_keep)[back] if kwargs.get("compute_entropy") else None,
            torch.stack(losses).mean() if kwargs.get("compute_aux_loss") else None,
        )

    def _score_shared(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, border: int) -> Scores:
        """Read each prompt but for its last token once, then that token and the completions of all rows behind it."""
        read = border - 1
        prompts, prompt = _distinct(ids[:, :read], mask[:, :read])
        labels = ids.masked_fill(mask == 0, IGNORED)[:, read:]
        labels[:, 0] = IGNORED
        with self.accelerator.autocast():
            past = model(
                input_ids=prompts[..., 0], attention_mask=prompts[..., 1], use_cache=True, logits_to_keep=1
            ).past_key_values
            past.batch_select_indices(prompt)
            outputs = model(
                input_ids=ids[:, read:], attention_mask=mask, past_key_values=past, labels=labels, fused_lm_head=True
            )
        return outputs.log_probs, outputs.entropy, None


def _has_rows(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0


def _distinct(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the different texts, ids and mask side by side (texts, tokens, 2), and which of them each row holds."""
    texts, which = torch.unique(torch.stack([ids, mask], dim=2), dim=0, return_inverse=True)
    return texts, which


def _used(mask: torch.Tensor, border: int) -> tuple[int, int]:
    """Return the columns between which some row has a token; at least one before and one behind the border."""
    columns = mask.any(dim=0).nonzero().flatten()
    return min(int(columns[0]), border - 1), max(int(columns[-1]) + 1, border + 1)


def _joined(parts: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
