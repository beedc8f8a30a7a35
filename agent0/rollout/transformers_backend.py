"""Generation with `transformers`: left-padded batches in this process, on one device or under data parallelism.

Not for models sharded by FSDP or ZeRO-3, where every rank would have to make the same number of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)

from agent0.config import SamplingSettings
from agent0.protocol import PROTOCOL_TEXTS
from agent0.rollout.engine import Generation
from agent0.rollout.vocabulary_dropout import VocabularyDropout

ModelContext = Callable[[], AbstractContextManager[Any]]
Segment = tuple[list[int], Literal["eos", "stop", "length"] | None]
"""Tokens of one row, and why it ended, if it did."""


class TransformersBackend:
    """Draws with a causal language model.

    Args:
        model: the model, or a function that opens a context with it (a trainer unwraps its model that way).
        tokenizer: its tokenizer; must know a pad token.
        sampling: temperature, top_p and top_k.
        batch_size: sequences generated at once; longer lists are cut into such batches, shortest prompts first.
        interval: tokens after which rows that have ended leave the batch. A batch costs as much as its longest row, and
            few rows are long; each interval costs one more pass over the prompts.
    """

    def __init__(
        self,
        model: torch.nn.Module | ModelContext,
        tokenizer: Any,
        sampling: SamplingSettings,
        batch_size: int,
        interval: int,
    ) -> None:
        self._open: ModelContext = (lambda: nullcontext(model)) if isinstance(model, torch.nn.Module) else model
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._batch_size = batch_size
        self._interval = interval
        self._batches = 0
        self._dropout: VocabularyDropout | None = None

    def generate(self, prompts: Sequence[list[int]], max_tokens: Sequence[int], stop: str | None) -> list[Generation]:
        """See `agent0.rollout.engine.Backend`."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        results: dict[int, Generation] = {}
        with self._open() as model, torch.no_grad():
            was_training = model.training
            model.eval()
            self._redraw_vocabulary(model)
            try:
                for start in range(0, len(order), self._batch_size):
                    rows = order[start : start + self._batch_size]
                    drawn = self._batch(model, [prompts[i] for i in rows], [max_tokens[i] for i in rows], stop)
                    results.update(zip(rows, drawn, strict=True))
            finally:
                model.train(was_training)
        return [results[i] for i in range(len(prompts))]

    def _batch(self, model: Any, prompts: list[list[int]], max_tokens: list[int], stop: str | None) -> list[Generation]:
        """Draw in segments; rows that have ended leave the batch between segments."""
        drawn: list[list[int]] = [[] for _ in prompts]
        finish: dict[int, Literal["eos", "stop", "length"]] = {}
        while active := [row for row in range(len(prompts)) if row not in finish]:
            limits = [max_tokens[row] - len(drawn[row]) for row in active]
            segments = self._segment(model, [prompts[row] + drawn[row] for row in active], limits, stop)
            for row, (token_ids, reason) in zip(active, segments, strict=True):
                drawn[row] += token_ids
                if reason is not None:
                    finish[row] = reason
        return [Generation(token_ids, finish[row]) for row, token_ids in enumerate(drawn)]

    def _segment(self, model: Any, prompts: list[list[int]], limits: list[int], stop: str | None) -> list[Segment]:
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
            generation_config=self._generation_config(min(self._interval, max(limits)), pad, sorted(ends)),
            stopping_criteria=StoppingCriteriaList(criteria),
            logits_processor=LogitsProcessorList([self._dropout] if self._dropout else []),
        )
        stops = criteria[0].lengths.tolist() if criteria and criteria[0].lengths is not None else [-1] * len(prompts)
        drawn = output[:, width:].tolist()
        return [_cut(row, ends, at, limit) for row, at, limit in zip(drawn, stops, limits, strict=True)]

    def _redraw_vocabulary(self, model: Any) -> None:
        """Draw a new mask for this call where vocabulary dropout is on; the protocol's own tokens always stay."""
        if self._sampling.vocabulary_retention == 1.0:
            return
        if self._dropout is None:
            protected = {*_end_ids(model, self._tokenizer), *_token_ids(self._tokenizer, PROTOCOL_TEXTS)}
            self._dropout = VocabularyDropout(
                model.config.vocab_size,
                self._sampling.vocabulary_retention,
                protected,
                seed=torch.initial_seed() % 2**31,
            )
        self._batches += 1
        self._dropout.redraw(self._batches)

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


def _token_ids(tokenizer: Any, texts: Sequence[str]) -> set[int]:
    return {int(i) for text in texts for i in tokenizer(text, add_special_tokens=False).input_ids}


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return {int(i) for i in [*ids, tokenizer.eos_token_id] if i is not None}


def _cut(row: list[int], ends: set[int], stopped_at: int, limit: int) -> Segment:
    """Cut a padded row where it ended: at an end token, at the stop string, at its limit, or nowhere yet."""
    beyond = len(row) + 1
    end = next((i + 1 for i, token in enumerate(row) if token in ends), beyond)
    stop = stopped_at if stopped_at > 0 else beyond
    if min(end, stop) <= min(limit, len(row)):
        return (row[:end], "eos") if end <= stop else (row[:stop], "stop")
    return (row[:limit], "length") if len(row) >= limit else (row, None)
