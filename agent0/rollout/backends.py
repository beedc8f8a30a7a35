"""Opening the backend that a configuration asks for, around one frozen model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent0.config import RolloutSettings, SamplingSettings
from agent0.rollout.engine import Backend


@contextmanager
def open_backend(
    model: Path,
    tokenizer: Any,
    rollout: RolloutSettings,
    sampling: SamplingSettings,
    *,
    log: Path,
    gpus: Sequence[int] | None = None,
) -> Iterator[Backend]:
    """Load the model in `model` as `rollout.backend` says, and free it at the end.

    Args:
        model: folder of a saved causal language model.
        tokenizer: its tokenizer.
        rollout: which backend, and its limits.
        sampling: how tokens are drawn.
        log: folder that keeps what servers print.
        gpus: indices of the GPUs to use among those visible; None: all of them.
    """
    import torch

    from agent0.rollout.models import load_model
    from agent0.rollout.transformers_backend import TransformersBackend

    device = "cpu" if not torch.cuda.is_available() else f"cuda:{gpus[0] if gpus else 0}"
    weights, _ = load_model(model, "float32" if device == "cpu" else "bfloat16", device)
    yield TransformersBackend(weights, tokenizer, sampling, rollout.batch_size, rollout.compaction_interval)
