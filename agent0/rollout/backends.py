"""Opening the backend that a configuration asks for, around one frozen model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from agent0.config import RolloutSettings, SamplingSettings
from agent0.cpu_arithmetic import fastest_type
from agent0.rollout.engine import Backend
from agent0.rollout.model_folders import load_model, require_safetensors
from agent0.rollout.tokens import check_model_tokens


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

    Raises:
        UsageError: model, tokenizer, sampling and backend do not fit together, or what the backend needs is not here;
            found before anything is loaded.
        Agent0Error: the model's weights are no safetensors.
    """
    end_ids = check_model_tokens(model, tokenizer, rollout)
    require_safetensors(model)
    if rollout.backend == "transformers":
        yield _transformers(model, tokenizer, rollout, sampling, gpus)
        return
    from agent0.rollout.vllm_backend import VllmBackend, open_llm, refuse_vocabulary_dropout

    refuse_vocabulary_dropout(sampling)
    if rollout.backend == "vllm":
        with open_llm(model, rollout, gpus) as llm:
            yield VllmBackend(llm, sampling, end_ids, rollout.concurrency)
        return
    from agent0.rollout.vllm_process import serve
    from agent0.rollout.vllm_server_backend import VllmServerBackend

    with serve(model, rollout, log=log, gpus=gpus) as endpoints:
        yield VllmServerBackend(
            endpoints, str(model), sampling, end_ids, rollout.vllm, rollout.concurrency, lost=lambda: endpoints.lost
        )


def weights_dtype(rollout: RolloutSettings) -> str:
    """Return the type of the weights that `open_backend` draws with here."""
    return transformers_dtype(rollout) if rollout.backend == "transformers" else rollout.vllm.dtype


def transformers_dtype(rollout: RolloutSettings) -> Literal["float32", "bfloat16"]:
    """Return the type of the weights that the transformers backend draws with here."""
    if rollout.dtype == "fastest":
        return fastest_type()
    if rollout.dtype != "auto":
        return rollout.dtype
    import torch

    return "bfloat16" if torch.cuda.is_available() else "float32"


def _transformers(
    model: Path, tokenizer: Any, rollout: RolloutSettings, sampling: SamplingSettings, gpus: Sequence[int] | None
) -> Backend:
    import torch

    from agent0.rollout.transformers_backend import TransformersBackend

    device = "cpu" if not torch.cuda.is_available() else f"cuda:{gpus[0] if gpus else 0}"
    weights, _ = load_model(model, transformers_dtype(rollout), device)
    return TransformersBackend(weights, tokenizer, sampling, rollout.batch_size, rollout.compaction_interval)
