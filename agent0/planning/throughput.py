"""Tokens per second of a GPU that draws or trains, estimated from its data sheet, and what keeps it from more.

Left out: the sandbox (its programs run while other trajectories are drawn), and prompts, which are read once a group.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent0.config import Config
from agent0.planning.architecture import Architecture
from agent0.planning.gpu_memory import Engine, full_length
from agent0.planning.hardware import Cluster
from agent0.planning.placement import StageName, algorithm
from agent0.planning.rates import MeasuredRates
from agent0.planning.stage_demands import engine_beside, server_engine
from agent0.planning.token_work import Lengths

DECODE_EFFICIENCY = 0.5
"""Share of the roofline that vLLM reaches while it decodes. Assumed; one request on an A100 was measured at 0.77 of
the bandwidth (J. Musgrave, "vLLM throughput-latency sweep", Llama 3.1 8B, vLLM 0.23)."""
TRANSFORMERS_EFFICIENCY = 0.05
"""The same for the transformers backend. Assumed."""
TRAINING_UTILISATION = 0.35
"""Share of the dense bf16 rate that a training step reaches on all that it computes. An H200 reached 0.33 to 0.35
(docs/gpu.md); torchtitan reports 0.33 to 0.39 for Llama 3.1 8B, FSDP2 on 8 H100 (its docs/performance.md)."""
USEFUL_TOKENS = 0.9
"""Share of that which is tokens rather than padding; the bar of `bench/training.py`."""
FLOAT32_SLOWDOWN = 12.0
"""How much slower 32-bit arithmetic is than bf16 on tensor cores. Assumed; near the data sheets' ratio."""
FORWARD_PASS, BACKWARD_PASS, ADAPTERS_BACKWARD = 1, 2, 1
"""Operations of a pass by those of a forward pass (Kaplan et al. 2020); what is frozen needs no gradients."""


@dataclass(frozen=True)
class Setting:
    """All that a rate depends on."""

    architecture: Architecture
    config: Config
    cluster: Cluster
    lengths: Lengths
    measured: MeasuredRates | None = None


@dataclass(frozen=True)
class Drawing:
    """Tokens to draw, on how many GPUs and by what, with how many trajectories in flight over all of them.

    `batches` is how often all of them are waited for before others are begun.
    """

    stage: StageName
    tokens: float
    gpus: int
    backend: str
    in_flight: int
    batches: int = 1
    by_policy: bool = False

    def measured_rate(self, measured: MeasuredRates | None) -> float | None:
        """Return the measured rate that speaks of this drawing; vLLM's says nothing of transformers."""
        if measured is None or self.backend == "transformers":
            return None
        # An engine beside a trainer was measured with the policy.
        policys = self.by_policy or self.backend == "colocated"
        return measured.policy_generated_per_second if policys else measured.generated_per_second


def drawing_rate(setting: Setting, drawing: Drawing) -> float:
    """Return an estimate of the tokens drawn per second and GPU while all that may be are in flight."""
    parallel = _parallel(setting, drawing)
    batch = _batch(setting, drawing, _engine(setting, drawing, parallel), parallel)
    return batch / _step_seconds(setting, drawing, batch, parallel) / parallel


def best_drawing_rate(setting: Setting) -> float:
    """Return the rate of a GPU that holds one engine and nothing else, which never runs out of trajectories."""
    vllm = setting.config.rollout.vllm
    unit = server_engine(setting.architecture, setting.config, setting.cluster, 1)
    alone = Drawing("task_generation", 0.0, 1, "vllm", vllm.max_sequences)
    batch = _batch(setting, alone, unit, 1)
    return batch / _step_seconds(setting, alone, batch, 1)


def tail_seconds(setting: Setting, drawing: Drawing) -> float:
    """Return how much longer batches take than at the full rate, since a batch ends with its longest trajectory.

    One of a batch's many takes all of its budget. While it is drawn the others end, so that each of its steps beyond
    the mean reads the weights for fewer and fewer.
    """
    longest = setting.config.rollout.max_response_tokens
    step = _step_seconds(setting, drawing, 1.0, _parallel(setting, drawing))
    return drawing.batches * max(0.0, longest - setting.lengths.response) * step


def _parallel(setting: Setting, drawing: Drawing) -> int:
    """Return the GPUs that share an engine."""
    if drawing.backend in ("transformers", "colocated"):
        return 1
    return (
        drawing.gpus // setting.cluster.nodes if drawing.by_policy else setting.config.rollout.vllm.tensor_parallel_size
    )


def _engine(setting: Setting, drawing: Drawing, parallel: int) -> Engine | None:
    if drawing.backend == "transformers":
        return None
    if drawing.backend == "colocated":
        return engine_beside(drawing.stage, setting.architecture, setting.config, setting.cluster)
    return server_engine(setting.architecture, setting.config, setting.cluster, parallel)


def _batch(setting: Setting, drawing: Drawing, unit: Engine | None, parallel: int) -> float:
    """Return the trajectories that an engine decodes at once; they spread evenly over all engines."""
    batch = drawing.in_flight * parallel / drawing.gpus
    if unit is not None:
        mean_length = setting.lengths.prompt + setting.lengths.response
        room = unit.cache / unit.trajectory * full_length(setting.config) / mean_length
        # TRL builds the engine beside a trainer for as many sequences as it asks of it.
        most = batch if drawing.backend == "colocated" else setting.config.rollout.vllm.max_sequences
        batch = min(batch, most, room)
    return max(1.0, batch)


def _step_seconds(setting: Setting, drawing: Drawing, batch: float, parallel: int) -> float:
    """Return the seconds of a decoding step.

    It takes as long as reading the weights and the cache, or as its arithmetic, whichever is longer (roofline; Williams
    et al. 2009).
    """
    architecture, gpu = setting.architecture, setting.cluster.gpu
    element = 4 if setting.config.rollout.vllm.dtype == "float32" else 2
    cache = batch * setting.lengths.context * architecture.kv_bytes_per_token(element)
    reading = (element * architecture.parameters + cache) / parallel / (gpu.bandwidth * 1e12)
    computing = 2 * architecture.parameters * batch / parallel / (gpu.tflops * 1e12)
    efficiency = TRANSFORMERS_EFFICIENCY if drawing.backend == "transformers" else DECODE_EFFICIENCY
    return max(reading, computing) / efficiency


def training_rate(setting: Setting, stage: StageName) -> float:
    """Return an estimate of the tokens trained on per second and GPU, padding not counted as tokens."""
    passes = training_passes(setting.config, stage)
    recomputed = FORWARD_PASS if setting.config.training.gradient_checkpointing else 0
    return best_training_rate(setting, stage) * USEFUL_TOKENS * passes / (passes + recomputed)


def best_training_rate(setting: Setting, stage: StageName) -> float:
    """Return the rate of a GPU that computes no padding, and nothing twice."""
    config, architecture = setting.config, setting.architecture
    length = setting.lengths.prompt + setting.lengths.response
    attention = 2 * architecture.layers * length * architecture.query_width
    forward = 2 * architecture.parameters + attention
    peak = setting.cluster.gpu.tflops * 1e12 * TRAINING_UTILISATION
    if config.training.precision == "float32" and config.model.dtype == "float32":
        peak /= FLOAT32_SLOWDOWN
    return peak / (training_passes(config, stage) * forward)


def training_passes(config: Config, stage: StageName) -> int:
    """Return what a token costs the algorithm, in forward passes: training, and the old and reference policies."""
    training, settings = config.training, algorithm(config, stage)
    passes = FORWARD_PASS + (ADAPTERS_BACKWARD if training.lora.rank else BACKWARD_PASS)
    passes += training.policy_backend != "transformers" or settings.updates_per_step > 1  # old log-probabilities
    return passes + (settings.kl_coefficient > 0)
