"""Memory of one GPU, by consumer, for each thing that can live on it, and of the host of a training.

All functions return GiB. The formulas and their sources are in docs/plan.md; constants without a formula are named
here. What is left out: the host of what only draws, and kernels' scratch space, for which `MARGIN` of each GPU stays
free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent0.config import (
    CurriculumSettings,
    ExecutorSettings,
    ModelSettings,
    RolloutSettings,
    TrainingSettings,
    VllmSettings,
)
from agent0.planning.architecture import Architecture

GIB = float(1 << 30)
MARGIN = 0.05
"""Share of a GPU that must stay free: fragmentation and scratch space."""
CONTEXT_GIB = 0.6
"""A process's CUDA context and loaded kernels."""
COMMUNICATION_GIB = 1.0
"""NCCL's buffers in a process that talks to others."""
GRAPHS_GIB = 0.6
"""vLLM's CUDA graphs."""
SLEEPING_ENGINE_GIB = 1.5
"""What a colocated vLLM engine keeps while it sleeps: its context's share, graphs, workspace."""
SERVER_BATCHED_TOKENS = 16_384
"""Tokens that a vLLM server prefills at once: its default on large GPUs."""
COLOCATED_BATCHED_TOKENS = 4096
"""The same beside a trainer: what TRL sets."""
HEAD_TOKENS, HEAD_COLUMNS = 4096, 16_384
"""Bounds of the tile of logits that TRL holds at once in its chunked head."""
FLOAT32, BFLOAT16 = 4, 2

Parts = dict[str, float]


class Settings(Protocol):
    """The sections that a training's memory depends on: those of a `Config`, or of a training job."""

    @property
    def model(self) -> ModelSettings:
        """The base model."""

    @property
    def rollout(self) -> RolloutSettings:
        """Its trajectories."""

    @property
    def training(self) -> TrainingSettings:
        """How it is trained."""


@dataclass(frozen=True)
class Engine:
    """A vLLM engine on one GPU: what it holds, and how many trajectories of full length fit in its cache at once."""

    weights: float
    workspace: float
    trajectory: float
    budget: float

    @property
    def least(self) -> float:
        """The memory below which the engine refuses to start: room for one trajectory."""
        return self.weights + self.workspace + self.trajectory

    @property
    def cache(self) -> float:
        """What its budget leaves for keys and values, and at least one trajectory's."""
        return max(self.trajectory, self.budget - self.weights - self.workspace)

    @property
    def trajectories(self) -> int:
        """Trajectories of full length in the cache at once."""
        return max(0, int((self.budget - self.weights - self.workspace) / self.trajectory))


def full_length(config: Settings) -> int:
    """Return the tokens of the longest trajectory, prompt included."""
    return config.rollout.max_prompt_tokens + config.rollout.max_response_tokens


def engine(
    architecture: Architecture,
    vllm: VllmSettings,
    length: int,
    parallel: int,
    budget: float,
    batched_tokens: int,
    adapters: int = 0,
) -> Engine:
    """Return a vLLM engine's memory on each of the `parallel` GPUs that share it.

    Beside the model it has room for so many parameters of `adapters`. Its weights are in 16 bits unless `vllm.dtype`
    says float32, for vLLM's 'auto' does not keep 32 bits.
    """
    element = FLOAT32 if vllm.dtype == "float32" else BFLOAT16
    prefill = batched_tokens * element * (4 * architecture.hidden + 3 * architecture.intermediate / parallel)
    sampling = 3 * FLOAT32 * vllm.max_sequences * architecture.vocabulary  # logits, their softmax, a sorted copy
    kv_shards = min(parallel, architecture.kv_heads)
    return Engine(
        weights=element * (architecture.parameters + adapters) / parallel / GIB,
        workspace=(prefill + sampling) / GIB
        + CONTEXT_GIB
        + (0.0 if vllm.enforce_eager else GRAPHS_GIB)
        + (COMMUNICATION_GIB if parallel > 1 else 0.0),
        trajectory=length * architecture.kv_bytes_per_token(element) / kv_shards / GIB,
        budget=budget,
    )


def generating_parts(architecture: Architecture, config: Settings, sequences: int) -> Parts:
    """Return what the transformers backend holds beside nothing else: a frozen model in 16 bits and its cache."""
    return {
        "weights": BFLOAT16 * architecture.parameters / GIB,
        **cache_parts(architecture, config, sequences),
        "CUDA": CONTEXT_GIB,
    }


def weights_gib(architecture: Architecture, config: Settings) -> float:
    """Return the weights that the transformers backend draws with; on a GPU 'auto' and 'fastest' are 16 bits."""
    element = FLOAT32 if config.rollout.dtype == "float32" else BFLOAT16
    return element * architecture.parameters / GIB


def cache_parts(architecture: Architecture, config: Settings, sequences: int) -> Parts:
    """Return keys, values and logits of the transformers backend at its longest batch."""
    rows = min(sequences, config.rollout.batch_size)
    return {
        "KV cache": rows * full_length(config) * architecture.kv_bytes_per_token(BFLOAT16) / GIB,
        "logits": rows * architecture.vocabulary * 2 * FLOAT32 / GIB,
    }


@dataclass(frozen=True)
class TrainingState:
    """What one training process holds for the whole of a training, and what only while it updates."""

    standing: Parts
    updating: Parts
    weight_sync: float


def training_state(
    architecture: Architecture,
    config: Settings,
    settings: CurriculumSettings | ExecutorSettings,
    rows: int,
    processes: int,
) -> TrainingState:
    """Return the memory of one training process, of `rows` trajectories an update, without any engine beside it."""
    training, stored = config.training, stored_bytes(config)
    computed = BFLOAT16 if training.precision != "float32" else stored
    shards = processes if training.sharding != "ddp" else 1
    # DeepSpeed in bf16 keeps 16-bit weights and gradients, and 32-bit master weights with the moments.
    mixed_zero = training.sharding == "zero3" and training.precision != "float32"
    lora = training.lora.rank > 0
    trained, trained_bytes = trained_parameters(architecture, config)
    weight_bytes = BFLOAT16 if mixed_zero else stored
    weights = weight_bytes * architecture.parameters + (trained_bytes * trained if lora else 0)
    standing = {
        "weights": weights / shards / GIB,
        "optimizer": (3 * FLOAT32 if mixed_zero else 2 * trained_bytes) * trained / shards / GIB,
        "CUDA": CONTEXT_GIB + (COMMUNICATION_GIB if processes > 1 else 0.0),
    }
    if _has_reference(config, settings):
        standing["reference"] = weight_bytes * architecture.parameters / shards / GIB
    gradient_bytes = BFLOAT16 if mixed_zero else trained_bytes
    updating = {
        "gradients": gradient_bytes * trained / shards / GIB,
        "working weights": _working_weights(architecture, training.sharding, stored, computed) / GIB,
        **_activations(architecture, config, rows, stored, computed),
    }
    if training.sharding == "ddp" and processes > 1:
        updating["gradient buckets"] = gradient_bytes * trained / GIB
    gathered = 0 if training.sends_adapters else stored * architecture.vocabulary * architecture.hidden
    return TrainingState(standing, updating, gathered / GIB)


def host_gib(
    architecture: Architecture, config: Settings, settings: CurriculumSettings | ExecutorSettings, processes: int
) -> float:
    """Return what the training processes of one node take of its host: models being loaded, a checkpoint.

    Every process loads the policy, then the reference, whole and on the CPU before any of it is sharded. A checkpoint
    is copied to the host and written from there; with ZeRO-3 the first process gathers the rounded weights. The two do
    not come at once, so the sum leaves room for libraries and /dev/shm. An engine of adapters sleeps with its weights
    in the host's memory.
    """
    models = 2 if _has_reference(config, settings) else 1
    loading = processes * models * stored_bytes(config) * architecture.parameters
    trained, trained_bytes = trained_parameters(architecture, config)
    training = config.training
    copied = (BFLOAT16 if training.sharding == "zero3" else 3 * trained_bytes) * trained
    sleeping = training.colocated_sleep and training.sends_adapters and training.policy_backend == "vllm"
    asleep = processes * BFLOAT16 * architecture.parameters if sleeping else 0
    return (loading + copied + asleep) / GIB


def stored_bytes(config: Settings) -> int:
    """Return the bytes of each weight of a model that is trained."""
    return FLOAT32 if config.model.dtype == "float32" else BFLOAT16


def handed_on_bytes(config: Settings) -> int:
    """Return the bytes of each weight of the model that a training hands on."""
    return BFLOAT16 if config.model.rounded else stored_bytes(config)


def trained_parameters(architecture: Architecture, config: Settings) -> tuple[int, int]:
    """Return how many parameters are trained, and the bytes of each."""
    if rank := config.training.lora.rank:
        return architecture.adapter_parameters(rank), FLOAT32
    return architecture.parameters, stored_bytes(config)


def _has_reference(config: Settings, settings: CurriculumSettings | ExecutorSettings) -> bool:
    """Return whether a copy of the starting weights is kept; adapters are switched off instead."""
    return settings.kl_coefficient > 0 and not config.training.lora.rank


def _working_weights(architecture: Architecture, sharding: str, stored: int, computed: int) -> float:
    """Return the bytes of weights gathered or cast for computing.

    Sharded: the layer at work, the one fetched ahead, and what belongs to no layer. Copied: autocast's cast of all.
    """
    if sharding == "ddp":
        return computed * architecture.parameters if computed != stored else 0.0
    return computed * (2 * architecture.layer_parameters + architecture.embedding_parameters)


def layer_activation_bytes(architecture: Architecture, element: int, stream: int) -> int:
    """Return the bytes that one layer keeps for its backward pass, per token.

    Korthikanti et al. (arXiv 2205.05198, section 4.1) counted anew for a gated MLP, grouped-query attention without
    stored scores, and norms that compute on a 32-bit copy. Checked against what transformers saves, by a test.

    Args:
        architecture: the model's sizes.
        element: bytes of a number in matrix products.
        stream: bytes of a number between them; 4 where autocast casts for the products only.
    """
    norm = 2 * stream + FLOAT32  # input, 32-bit copy, output
    heads = architecture.query_width + architecture.kv_width
    attention = heads * (norm if architecture.normed_heads else 0)  # norms of queries and keys
    attention += heads * element + architecture.kv_width * element  # rotated queries and keys, values
    attention += 2 * architecture.query_width * element  # the attention's output and its contiguous copy
    mlp = 4 * architecture.intermediate * element  # gate, its activation, up, their product
    return 2 * norm * architecture.hidden + attention + mlp


def _activations(architecture: Architecture, config: Settings, rows: int, stored: int, element: int) -> Parts:
    length = full_length(config)
    tokens = min(rows * length, config.training.micro_batch_tokens or rows * length)
    stream = stored if config.training.sharding == "ddp" else element  # a sharded model's weights are cast whole
    layer = layer_activation_bytes(architecture, element, stream)
    if config.training.gradient_checkpointing:
        per_token = architecture.layers * architecture.hidden * stream + layer
    else:
        per_token = architecture.layers * layer
    mask = tokens * length
    head_gradient = 0 if config.training.lora.rank else FLOAT32 * architecture.vocabulary * architecture.hidden
    tile = min(tokens, HEAD_TOKENS) * min(architecture.vocabulary, HEAD_COLUMNS) * element
    head = head_gradient + tile + FLOAT32 * tokens * architecture.hidden
    return {"activations": (tokens * per_token + mask) / GIB, "output head": head / GIB}
