"""Generation with `transformers`: left-padded batches in this process, on one device or under data parallelism.

Not for models sharded by FSDP or ZeRO-3, where every rank would have to make the same number of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList, StopStringCriteria

from agent0.config import SamplingSettings
from agent0.rollout.engine import Generation

ModelContext = Callable[[], AbstractContextManager[Any]]


class TransformersBackend:
    """Draws with a causal language model.

    Args:
        model: the model, or a function that opens a context with it (a trainer unwraps its model that way).
        tokenizer: its tokenizer; must know a pad token.
        sampling: temperature, top_p and top_k.
        batch_size: sequences generated at once; longer lists are cut into such batches, shortest prompts first.
    """

    def __init__(
        self,
        model: torch.nn.Module | ModelContext,
        tokenizer: Any,
        sampling: SamplingSettings,
        batch_size: int,
    ) -> None:
        self._open: ModelContext = (lambda: nullcontext(model)) if isinstance(model, torch.nn.Module) else model
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._batch_size = batch_size

    def generate(self, prompts: Sequence[list[int]], max_tokens: Sequence[int], stop: str | None) -> list[Generation]:
        """See `agent0.rollout.engine.Backend`."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        results: dict[int, Generation] = {}
        with self._open() as model, torch.no_grad():
            was_training = model.training
            model.eval()
            try:
                for start in range(0, len(order), self._batch_size):
                    rows = order[start : start + self._batch_size]
                    drawn = self._batch(model, [prompts[i] for i in rows], [max_tokens[i] for i in rows], stop)
                    results.update(zip(rows, drawn, strict=True))
            finally:
                model.train(was_training)
        return [results[i] for i in range(len(prompts))]

    def _batch(self, model: Any, prompts: list[list[int]], max_tokens: list[int], stop: str | None) -> list[Generation]:
        width = max(map(len, prompts))
        pad = int(self._tokenizer.pad_token_id)
        ids = torch.full((len(prompts), width), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        ends = _end_ids(model, self._tokenizer)
        criteria = [_StopAt(self._tokenizer, stop, width)] if stop else []
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=self._generation_config(max(max_tokens), pad, sorted(ends)),
            stopping_criteria=StoppingCriteriaList(criteria),
        )
        stops = criteria[0].lengths.tolist() if criteria and criteria[0].lengths is not None else [-1] * len(prompts)
        drawn = output[:, width:].tolist()
        return [_cut(row, ends, at, limit) for row, at, limit in zip(drawn, stops, max_tokens, strict=True)]

    def _generation_config(self, max_new_tokens: int, pad: int, ends: list[int]) -> GenerationConfig:
        greedy = self._sampling.temperature == 0
        drawing = (
            {"do_sample": False}
            if greedy
            else {
                "do_sample": True,
                "temperature": self._sampling.temperature,
                "top_p": self._sampling.top_p,
                "top_k": self._sampling.top_k,
            }
        )
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            pad_token_id=pad,
            eos_token_id=ends,
            disable_compile=True,
            **drawing,
        )


class _StopAt(StoppingCriteria):  # type: ignore[misc]
    """Ends a row at the stop string and remembers where, since padding may look like an end token."""

    def __init__(self, tokenizer: Any, stop: str, prompt_width: int) -> None:
        self._inner = StopStringCriteria(tokenizer, [stop])
        self._prompt_width = prompt_width
        self.lengths: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        hit: torch.Tensor = self._inner(input_ids, scores, **kwargs)
        if self.lengths is None:
            self.lengths = torch.full((input_ids.shape[0],), -1, device=input_ids.device)
        self.lengths[hit & (self.lengths < 0)] = input_ids.shape[1] - self._prompt_width
        return hit


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return {int(i) for i in [*ids, tokenizer.eos_token_id] if i is not None}


def _cut(row: list[int], ends: set[int], stopped_at: int, limit: int) -> Generation:
    """Cut a padded row where it ended: at an end token, at the stop string, or at its own limit."""
    end = next((i + 1 for i, token in enumerate(row) if token in ends), len(row) + 1)
    stop = stopped_at if stopped_at > 0 else len(row) + 1
    if min(end, stop) > limit:
        return Generation(row[:limit], "length")
    return Generation(row[:end], "eos") if end <= stop else Generation(row[:stop], "stop")
