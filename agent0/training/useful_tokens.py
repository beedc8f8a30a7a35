"""No forward pass over columns that are padding in every row, and none that reads a group's prompt once for each row.

TRL pads a generation batch to its longest prompt and completion, cuts it at random into micro-batches of so many rows,
and reads a prompt once for each of the completions that a group drew from it. Here TRL hands over a whole update; its
rows are dealt to passes by prompt or length, within a budget of tokens (`agent0.training.passes`), each pass is as wide
as its own rows need, and reads each of its prompts once. So do the passes for the old and the reference policy. An
update stays the mean over the same rows. A token's position is its place in its row, as when it was drawn; TRL's padded
pass counts the padding, too, which changes nothing where positions are relative, and is wrong where they are learned.
All but that and rounding stays the same.

The output layer is TRL's: computed in tiles, by its Triton kernel on a GPU, so that logits are never held whole.

Relies on three methods and six attributes of TRL 1.16's `GRPOTrainer`, and on what it gathers;
`tests/training/test_useful_tokens.py` is the contract, `test_sharding_configurations.py` for several processes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate.utils import DistributedType, is_peft_model
from trl.trainer.utils import nanmax, nanmin

from agent0.training.passes import Row, Size, by_length, by_prompt, deal, positions, reads_prompts_once, size, split_to
from agent0.training.resuming import ResumableTrainer

Batch = dict[str, Any]
"""Tensors whose first axis is the row, and numbers that hold for all rows."""

Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""Log-probabilities, entropies, and the load-balancing loss of a mixture of experts."""

IGNORED = -100
USEFUL_TOKENS, PASSES = "passes/useful_tokens", "passes/count"
NOISE_FLOOR = "clip_ratio/noise_floor"


class UsefulTokensTrainer(ResumableTrainer):
    """`GRPOTrainer` whose passes are as wide as their longest row and read each prompt once.

    Its `per_device_train_batch_size` is what a process updates on at once; `micro_batch_tokens` is what one of its
    passes may hold, padding included, and 0 makes one pass of an update.

    Beside TRL's it logs the tokens of an update's rows by the positions that its passes computed, above 1 where prompts
    are read once; how many passes they were; and for the first update on each batch, where no token should be clipped,
    how many are by rounding alone.
    """

    router_aux_loss_coef: float

    def __init__(self, *args: Any, micro_batch_tokens: int = 0, **kwargs: Any) -> None:
        self._micro_batch_tokens = micro_batch_tokens
        self.largest_pass = Size(0, 0)
        """Of those begun so far; of no rows before the first."""
        super().__init__(*args, **kwargs)
        base = self.model.get_base_model() if is_peft_model(self.model) else self.model
        self._takes_positions = "position_ids" in inspect.signature(base.forward).parameters

    @property
    def shares_prompts(self) -> bool:
        """Whether a pass reads each of its prompts once.

        It keeps the prompts' keys and values, which recurrent models do not have and checkpointing throws away; the
        load-balancing loss of a mixture of experts counts each row's tokens; and sharded processes must all make the
        same passes.
        """
        recurrent = self.accelerator.unwrap_model(self.model)._is_stateful
        alone = self.accelerator.num_processes == 1
        return bool(alone and not self.args.gradient_checkpointing and not recurrent and not self.aux_loss_enabled)

    def compute_loss(self, model: Any, inputs: Batch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the loss of an update, of which the last pass is still to be differentiated.

        The others are differentiated here, so that only one is in memory at a time. The arguments are TRL's.
        """
        rows = _rows(inputs["prompt_ids"], inputs["prompt_mask"], inputs["completion_mask"])
        passes = self._passes(rows, len(rows))
        metrics = self._metrics["train"]
        before = {name: len(values) for name, values in metrics.items()}
        finished, loss = torch.zeros((), device=self.accelerator.device), torch.zeros(())
        for number, part in enumerate(passes, start=1):
            # A mean over tokens has all of an update's in its denominator, one over rows those of the pass.
            of_rows = len(part) / len(rows)
            share = 1.0 if self.loss_type == "dapo" else of_rows
            chosen = {name: value[part] if _has_rows(value) else value for name, value in inputs.items()}
            with (
                self._accumulating(model) if number < len(passes) else nullcontext(),
                self._gathering_extremes(),
                self._balancing(of_rows / share),
            ):
                loss = super().compute_loss(model, chosen, *args, **kwargs) * share
                if number < len(passes):
                    self._differentiate(loss)
                    finished += loss.detach()
        scored = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        self._join_metrics(before, [scored[part] for part in passes])
        parts = [[rows[i] for i in part] for part in passes]
        computed = sum(positions(part, self.shares_prompts) for part in parts)
        metrics[USEFUL_TOKENS].append(sum(row.tokens for row in rows) / computed)
        metrics[PASSES].append(len(passes))
        if self._step % self.args.steps_per_generation < self.args.gradient_accumulation_steps:
            metrics[NOISE_FLOOR].append(metrics["clip_ratio/region_mean"][-1])
        return loss + finished

    @contextmanager
    def _accumulating(self, model: Any) -> Iterator[None]:
        """Let gradients add up without a word to other processes or the optimizer, where those need not be told."""
        state = self.accelerator.gradient_state
        each = state.plugin_kwargs.get("sync_each_batch", False)  # sharded gradients are kept by those who own them
        state._set_sync_gradients(False)  # DeepSpeed would make its step
        with nullcontext() if each else self.accelerator.no_sync(model):
            yield
        state._set_sync_gradients(True)

    @contextmanager
    def _gathering_extremes(self) -> Iterator[None]:
        """Gather the least and the greatest of a pass's numbers, which is what TRL asks the gathered ones for.

        Passes of other processes may have other numbers of rows, and such tensors cannot be gathered.
        """
        gather = self.accelerator.gather
        self.accelerator.gather = lambda rows: gather(torch.stack([nanmin(rows), nanmax(rows)]))
        try:
            yield
        finally:
            del self.accelerator.gather

    @contextmanager
    def _balancing(self, share: float) -> Iterator[None]:
        """Count only so much of the load-balancing loss of a mixture of experts, a mean over the tokens of a pass."""
        coefficient = self.router_aux_loss_coef
        self.router_aux_loss_coef = coefficient * share
        try:
            yield
        finally:
            self.router_aux_loss_coef = coefficient

    def _differentiate(self, loss: torch.Tensor) -> None:
        """As transformers does after `compute_loss`."""
        sharded = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        self.accelerator.backward(loss, **({"scale_wrt_gas": False} if sharded else {}))

    def _join_metrics(self, before: dict[str, int], masks: Sequence[torch.Tensor]) -> None:
        """Make one value of those that each pass logged: the least, the greatest, or the mean over tokens."""
        if len(masks) == 1:
            return
        counts = torch.stack([mask.sum() for mask in masks]).to(self.accelerator.device, torch.float32)
        weights = self.accelerator.reduce(counts, "sum").tolist()
        for name, values in self._metrics["train"].items():
            of_passes = values[before.get(name, 0) :]
            if len(of_passes) == len(masks):
                values[before.get(name, 0) :] = [_joined_metric(name, of_passes, weights)]

    def _passes(self, rows: Sequence[Row], rows_at_once: int) -> list[list[int]]:
        """Return the numbers of the rows of each pass; all processes make as many."""
        if self._micro_batch_tokens:
            passes = deal(rows, self._micro_batch_tokens, self.shares_prompts)
        else:
            order = by_prompt(rows) if self.shares_prompts else by_length(rows)
            passes = [order[start : start + rows_at_once] for start in range(0, len(order), rows_at_once)]
        count = torch.tensor([len(passes)], device=self.accelerator.device)
        return split_to(passes, int(self.accelerator.gather(count).max()))

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> Scores:
        """Return log-probabilities and entropies of shape (rows, `logits_to_keep`), 0 where a row has no token.

        Args:
            model: what scores.
            input_ids: prompts, padded on the left, and completions, padded on the right, (rows, tokens).
            attention_mask: of the same shape, 0 where padded.
            logits_to_keep: columns of completions.
            batch_size: rows of a pass where there is no budget; None where the rows are those of one pass already.
            compute_entropy: whether entropies are wanted.
            compute_aux_loss: whether the load-balancing loss of a mixture of experts is.
            images: None throughout; nothing here trains on images.
        """
        border = input_ids.shape[1] - logits_to_keep
        rows = _rows(input_ids[:, :border], attention_mask[:, :border], attention_mask[:, border:])
        passes = self._passes(rows, batch_size) if batch_size else [list(range(len(rows)))]
        scored = []
        for part in passes:
            ids, mask, read = input_ids[part], attention_mask[part], [rows[i] for i in part]
            self.largest_pass = max(self.largest_pass, size(read, self.shares_prompts))
            if self.shares_prompts and reads_prompts_once(read):
                scored.append(self._score_shared(model, ids, mask, border))
            else:
                options = {"output_router_logits": True} if compute_aux_loss else {}
                scored.append(self._score_rows(model, ids, mask, border, **options))
        logps, entropies, losses = zip(*scored, strict=True)
        back = torch.tensor([number for part in passes for number in part], device=input_ids.device).argsort()
        return (
            _joined(logps, logits_to_keep)[back],
            _joined(entropies, logits_to_keep)[back] if compute_entropy else None,
            torch.stack(losses).mean() if compute_aux_loss else None,
        )

    def _score_shared(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, border: int) -> Scores:
        """Read each prompt but for its last token once, then that token and the completions of all rows behind it."""
        left, right = _used(mask, border)
        read = border - 1
        prompts, prompt = _distinct(ids[:, left:read], mask[:, left:read])
        labels = ids.masked_fill(mask == 0, IGNORED)[:, read:right]
        labels[:, 0] = IGNORED
        with self.accelerator.autocast():
            past = model(
                input_ids=prompts[..., 0],
                attention_mask=prompts[..., 1],
                use_cache=True,
                logits_to_keep=1,
                **self._places(prompts[..., 1], 0),
            ).past_key_values
            past.batch_select_indices(prompt)
            outputs = model(
                input_ids=ids[:, read:right],
                attention_mask=mask[:, left:right],
                past_key_values=past,
                labels=labels,
                fused_lm_head=True,
                **self._places(mask[:, left:right], read - left),
            )
        return outputs.log_probs, outputs.entropy, None

    def _places(self, mask: torch.Tensor, begin: int) -> dict[str, torch.Tensor]:
        """Return the positions of the tokens from a column on, as an argument of models that do not find them."""
        if not self._takes_positions:
            return {}
        return {"position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0)[:, begin:]}

    def _score_rows(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, border: int, **options: Any) -> Scores:
        """Read each row from its first token on: a pass is as wide as its longest row, and a column is a position."""
        prompts, lengths = mask[:, :border].sum(dim=1, keepdim=True), mask.sum(dim=1, keepdim=True)
        columns = torch.arange(int(lengths.max()), device=ids.device)
        begun = (border - prompts + columns).clamp(max=ids.shape[1] - 1)
        read, held = ids.gather(1, begun), columns < lengths
        labels = read.masked_fill(~held | (columns < prompts), IGNORED)
        with self.accelerator.autocast():
            outputs = model(
                input_ids=read * held, attention_mask=held.long(), labels=labels, fused_lm_head=True, **options
            )
        # What is said of a token stands at the place of the one before it.
        width = int((lengths - prompts).max())
        places = (prompts - 1 + columns[:width]).clamp(max=len(columns) - 2)
        scored = columns[:width] < lengths - prompts

        def placed(found: torch.Tensor) -> torch.Tensor:
            return found.gather(1, places) * scored

        entropy = None if outputs.entropy is None else placed(outputs.entropy)  # the reference has none
        return placed(outputs.log_probs), entropy, outputs.aux_loss


def _has_rows(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0


def _rows(prompts: torch.Tensor, prompt_mask: torch.Tensor, completion_mask: torch.Tensor) -> list[Row]:
    _, prompt = _distinct(prompts, prompt_mask)
    lengths = (prompt_mask.sum(dim=1), completion_mask.sum(dim=1))
    return [Row(*numbers) for numbers in zip(prompt.tolist(), *(each.tolist() for each in lengths), strict=True)]


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


def _joined_metric(name: str, values: Sequence[float], weights: Sequence[float]) -> float:
    if name.endswith("_min"):
        return min(values)
    if name.endswith("_max"):
        return max(values)
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / math.fsum(weights)
