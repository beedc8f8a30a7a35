"""Attention of one new token to what was read before, without a copy of the cache for each head that shares it.

Where several heads share their keys and values and a batch is padded, transformers' `sdpa` repeats the whole cache for
each of them, in every layer and for every token. On a CPU that is a quarter of the time of drawing at 70 tokens
(SmolLM2-135M), and more with every token. Here the heads that share are as many tokens of one
head, so that the cache is read once for all of them. torch's kernel is made for many tokens: with a few, two plain
products are faster in float32, the more so as `agent0.rollout.roomy_cache` lays out keys. In shorter types the kernel
is, and adds up in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

_EXTRAS = {"position_bias", "s_aux", "softcap"}
"""Arguments by which a model asks for more than attention."""


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return the output, shape (rows, tokens, heads, width); whatever is no new token on a CPU goes to `sdpa`.

    Args:
        module: the layer.
        query: shape (rows, heads, tokens, width).
        key: shape (rows, shared heads, tokens so far, width).
        value: like `key`.
        attention_mask: True or 0 where a token is seen, shape (rows, 1, tokens, tokens so far); None: all are.
        dropout: share of weights that are dropped.
        scaling: of the products; by default 1 / sqrt(width).
        kwargs: what else the model passes.
    """
    drawing = query.shape[2] == 1 and not dropout and not torch.is_grad_enabled() and query.device.type == "cpu"
    extras = any(kwargs.get(name) is not None for name in _EXTRAS)
    if extras or not drawing or query.shape[1] == key.shape[1]:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output
    rows, heads, _, width = query.shape
    together = query.view(rows, key.shape[1], heads // key.shape[1], width)
    if query.dtype == torch.float32:
        attended = _multiplied(together, key, value, attention_mask, scaling or width**-0.5)
    else:
        attended = torch.nn.functional.scaled_dot_product_attention(
            together, key, value, attn_mask=attention_mask, scale=scaling
        )
    return attended.reshape(rows, 1, heads, width), None


def _multiplied(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    scores = torch.matmul(query * scaling, key.transpose(-1, -2))
    if mask is not None and mask.dtype == torch.bool:  # added to all heads at once it is faster than filled in
        mask = torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
    if mask is not None:
        scores += mask
    return torch.matmul(scores.softmax(-1), value)


def attend_in_groups() -> None:
    """Let every model of this process that attends with `sdpa` draw so."""
    AttentionInterface.register("sdpa", attend)
