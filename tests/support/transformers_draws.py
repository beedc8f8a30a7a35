"""A transformers backend over a small model, and what it is asked for."""

from __future__ import annotations

from typing import Any

from agent0.config import SamplingSettings
from agent0.rollout import Request
from agent0.rollout.tokens import end_token_ids
from agent0.rollout.transformers_backend import TransformersBackend

GREEDY = SamplingSettings(temperature=0.0)
PROMPTS = [[5, 6, 7], [9], [11, 12, 13, 14, 15], [20, 21]]


def backend_of(
    model: Any, tokenizer: Any, sampling: SamplingSettings = GREEDY, batch_size: int = 8, interval: int = 64
) -> TransformersBackend:
    ends = end_token_ids(tokenizer, model.generation_config.eos_token_id)
    return TransformersBackend(model, tokenizer, sampling, ends, batch_size, interval)


def requests(prompts: list[list[int]], limits: list[int], stop: str | None, seed: int = 0) -> list[Request]:
    return [Request(p, limit, stop, seed + i) for i, (p, limit) in enumerate(zip(prompts, limits, strict=True))]
