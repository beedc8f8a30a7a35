"""Opening the backend that a configuration asks for, around one frozen model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from agent0.config import RolloutSettings, SamplingSettings
from agent0.cpu_arithmetic import fastest_type
from agent0.rollout.backend_opening import BACKENDS, BlamedBackend, FrozenModel
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
    seed: int,
    gpus: Sequence[int] | None = None,
) -> Iterator[Backend]:
    """Load the model in `model` as `rollout.backend` says, and free it at the end.

    Args:
        model: folder of a saved causal language model.
        tokenizer: its tokenizer.
        rollout: which backend, and its limits.
        sampling: how tokens are drawn.
        log: folder that keeps what servers print.
        seed: of what is drawn without a seed of its own; whoever draws anew gives another one.
        gpus: indices of the GPUs to use among those visible; None: all of them.

    Raises:
        UsageError: there is no such backend, or model, tokenizer, sampling and backend do not fit together, or what the
            backend needs is not here; found before anything is loaded.
        Agent0Error: the model's weights are no safetensors, or a package's backend fails.
    """
    end_ids = check_model_tokens(model, tokenizer, rollout)
    require_safetensors(model)
    name = rollout.backend
    opened = BACKENDS.find(name)
    with ExitStack() as opened_here:
        with BACKENDS.blamed(name):
            frozen = FrozenModel(model, tokenizer, end_ids, rollout, sampling, log, gpus, seed)
            backend = opened_here.enter_context(opened(frozen))
            given = backend if name in BACKENDS.own else BlamedBackend(backend, name)
        yield given


@contextmanager
def open_transformers(frozen: FrozenModel) -> Iterator[Backend]:
    """Load the model into this process, as `transformers` has it."""
    import torch

    from agent0.rollout.transformers_backend import TransformersBackend

    rollout = frozen.rollout
    device = "cpu" if not torch.cuda.is_available() else f"cuda:{frozen.gpus[0] if frozen.gpus else 0}"
    weights, _ = load_model(frozen.model, transformers_dtype(rollout), device)
    yield TransformersBackend(
        weights,
        frozen.tokenizer,
        frozen.sampling,
        frozen.end_ids,
        rollout.batch_size,
        rollout.compaction_interval,
    )


@contextmanager
def open_vllm(frozen: FrozenModel) -> Iterator[Backend]:
    """Start a vLLM engine in this process."""
    from agent0.rollout.vllm_backend import VllmBackend, open_llm, refuse_vocabulary_dropout

    refuse_vocabulary_dropout(frozen.sampling)
    rollout = frozen.rollout
    with open_llm(frozen.model, rollout, frozen.gpus, seed=frozen.seed) as llm:
        yield VllmBackend(llm, frozen.sampling, frozen.end_ids, rollout.concurrency, seeded=rollout.vllm.seeded)


@contextmanager
def open_vllm_server(frozen: FrozenModel) -> Iterator[Backend]:
    """Start vLLM servers, one for each group of GPUs."""
    from agent0.rollout.vllm_backend import refuse_vocabulary_dropout
    from agent0.rollout.vllm_process import serve
    from agent0.rollout.vllm_server_backend import VllmServerBackend

    refuse_vocabulary_dropout(frozen.sampling)
    rollout = frozen.rollout
    with serve(frozen.model, rollout, log=frozen.log, gpus=frozen.gpus, seed=frozen.seed) as endpoints:
        yield VllmServerBackend(
            endpoints,
            str(frozen.model),
            frozen.sampling,
            frozen.end_ids,
            rollout.vllm,
            rollout.concurrency * len(endpoints),
            lost=lambda: endpoints.lost,
        )


def weights_dtype(rollout: RolloutSettings) -> str:
    """Return the type of the weights that `open_backend` draws with here; a package's backend chooses its own."""
    if rollout.on_vllm:
        return rollout.vllm.dtype
    return transformers_dtype(rollout) if rollout.backend == "transformers" else "its own type"


def transformers_dtype(rollout: RolloutSettings) -> Literal["float32", "bfloat16"]:
    """Return the type of the weights that the transformers backend draws with here."""
    if rollout.dtype == "fastest":
        return fastest_type()
    if rollout.dtype != "auto":
        return rollout.dtype
    import torch

    return "bfloat16" if torch.cuda.is_available() else "float32"
