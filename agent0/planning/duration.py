"""Seconds of each stage, from measured rates or, where there are none, from a roofline of the GPU.

Left out: the sandbox (its programs run while other trajectories are drawn), downloads, and the slow tail in which a
batch's last trajectories are drawn alone. Checkpoints are `agent0.planning.checkpoint_costs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent0.config import Config
from agent0.planning.architecture import Architecture
from agent0.planning.checkpoint_costs import COPIED_GB_PER_SECOND, WRITTEN_GB_PER_SECOND
from agent0.planning.gpu_memory import Engine, full_length, handed_on_bytes
from agent0.planning.hardware import Cluster
from agent0.planning.placement import Placement, StageName, algorithm, sequences_per_step
from agent0.planning.rates import MeasuredRates
from agent0.planning.stage_demands import colocated_engine, server_engine
from agent0.planning.token_work import Lengths, Work

Source = Literal["measured", "part measured", "estimate"]

DECODE_EFFICIENCY = 0.5
"""Share of the roofline that vLLM reaches while it decodes. Assumed, not measured."""
TRANSFORMERS_EFFICIENCY = 0.05
"""The same for the transformers backend. Assumed."""
TRAINING_UTILISATION = 0.35
"""Share of the dense bf16 rate that a training step reaches on all that it computes. Assumed."""
USEFUL_TOKENS = 0.9
"""Share of that which is tokens rather than padding; the bar of `bench/training.py`."""
FLOAT32_SLOWDOWN = 12.0
"""How much slower 32-bit arithmetic is than bf16 on tensor cores. Assumed; near the data sheets' ratio."""
ENGINE_START_SECONDS = 180.0
"""Loading a model and starting vLLM on it, once per stage. Assumed."""
LOADING_SECONDS = 30.0
"""The same without vLLM. Assumed."""
STEP_OVERHEAD_SECONDS = 15.0
"""Weight sync, waking the engine and rewards, once per generation batch. Assumed."""
WEIGHTS_READ_GB_PER_SECOND = 1.0
"""How fast a frozen model's weights come into an engine that it shares, once per generation batch. Assumed."""

ASSUMPTIONS = {
    "decode efficiency": DECODE_EFFICIENCY,
    "transformers efficiency": TRANSFORMERS_EFFICIENCY,
    "training utilisation": TRAINING_UTILISATION,
    "float32 slowdown": FLOAT32_SLOWDOWN,
    "engine start seconds": ENGINE_START_SECONDS,
    "loading seconds": LOADING_SECONDS,
    "step overhead seconds": STEP_OVERHEAD_SECONDS,
    "weights read GB per second": WEIGHTS_READ_GB_PER_SECOND,
    "checkpoint copied GB per second and GPU": COPIED_GB_PER_SECOND,
    "checkpoint written GB per second": WRITTEN_GB_PER_SECOND,
}


@dataclass(frozen=True)
class Duration:
    """Seconds of a stage, and where its rates come from."""

    seconds: float
    source: Source


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
    """Tokens to draw, on how many GPUs and by what, with how many trajectories in flight over all of them."""

    tokens: float
    gpus: int
    backend: str
    in_flight: int
    by_policy: bool = False

    def measured_rate(self, measured: MeasuredRates | None) -> float | None:
        """Return the measured rate that speaks of this drawing; vLLM's says nothing of transformers."""
        if measured is None or self.backend == "transformers":
            return None
        policys = (
            self.by_policy or self.backend == "colocated"
        )  # an engine beside a trainer was measured with the policy
        return measured.policy_generated_per_second if policys else measured.generated_per_second


def stage_duration(stage: StageName, placement: Placement, work: Work, setting: Setting) -> Duration:
    """Return the seconds of a stage that fits where `placement` says."""
    if work.drawn == 0:
        return Duration(0.0, "measured" if setting.measured else "estimate")
    drawings = [drawing for drawing in _drawings(stage, placement, work, setting.config) if drawing.tokens]
    transformers_only = all(drawing.backend == "transformers" for drawing in drawings)
    seconds = (LOADING_SECONDS if transformers_only else ENGINE_START_SECONDS) + work.steps * STEP_OVERHEAD_SECONDS
    if placement.shared:
        folder = handed_on_bytes(setting.config) * setting.architecture.parameters
        seconds += work.steps * folder / (WEIGHTS_READ_GB_PER_SECOND * 1e9)
    sources: list[bool] = []
    for drawing in drawings:
        measured = drawing.measured_rate(setting.measured)
        seconds += drawing.tokens / ((measured or drawing_rate(setting, drawing)) * drawing.gpus)
        sources.append(measured is not None)
    if work.trained:
        measured = setting.measured.trained_per_second if setting.measured else None
        seconds += work.trained / ((measured or training_rate(setting, stage)) * placement.trainers)
        sources.append(measured is not None)
    source: Source = "measured" if all(sources) else "part measured" if any(sources) else "estimate"
    return Duration(seconds, source)


def _drawings(stage: StageName, placement: Placement, work: Work, config: Config) -> list[Drawing]:
    """Return the policy's drawing, where there is a policy, and the frozen model's."""
    policy_gpus = placement.policy_servers or placement.trainers
    frozen_gpus = placement.frozen_servers or placement.frozen_in_process
    backend = config.rollout.backend if config.rollout.on_vllm else "transformers"
    in_flight = config.rollout.batch_size * frozen_gpus if backend == "transformers" else config.rollout.concurrency
    frozen = Drawing(work.drawn_by_frozen, frozen_gpus, backend, in_flight)
    if not placement.trainers:
        return [frozen]
    sequences = sequences_per_step(algorithm(config, stage))
    if placement.shared:  # TRL builds the engine for as many sequences as the policy draws at once
        at_once = min(config.rollout.concurrency * placement.trainers, sequences)
        frozen = Drawing(work.drawn_by_frozen, placement.trainers, "colocated", at_once)
    return [Drawing(work.drawn_by_policy, policy_gpus, _policy_backend(config), sequences, by_policy=True), frozen]


def _policy_backend(config: Config) -> str:
    return "colocated" if config.training.policy_backend == "vllm" else config.training.policy_backend


def drawing_rate(setting: Setting, drawing: Drawing) -> float:
    """Return an estimate of the tokens drawn per second and GPU.

    A decoding step takes as long as reading the weights and the cache, or as its arithmetic, whichever is longer
    (roofline; Williams et al. 2009); the trajectories in flight spread evenly over all engines.
    """
    vllm = setting.config.rollout.vllm
    unit: Engine | None = None
    parallel = 1
    if drawing.backend == "colocated":
        unit = colocated_engine(setting.architecture, setting.config, setting.cluster)
    elif drawing.backend != "transformers":
        parallel = drawing.gpus // setting.cluster.nodes if drawing.by_policy else vllm.tensor_parallel_size
        unit = server_engine(setting.architecture, setting.config, setting.cluster, parallel)
    batch = max(1.0, drawing.in_flight * parallel / drawing.gpus)
    if unit is not None:
        room = (
            unit.cache
            / unit.trajectory
            * full_length(setting.config)
            / (setting.lengths.prompt + setting.lengths.response)
        )
        batch = max(1.0, min(batch, vllm.max_sequences, room))
    element = 4 if vllm.dtype == "float32" else 2
    read = element * setting.architecture.parameters + batch * setting.lengths.context * (
        setting.architecture.kv_bytes_per_token(element)
    )
    gpu = setting.cluster.gpu
    reading = read / parallel / (gpu.bandwidth * 1e12)
    computing = 2 * setting.architecture.parameters * batch / parallel / (gpu.tflops * 1e12)
    efficiency = TRANSFORMERS_EFFICIENCY if drawing.backend == "transformers" else DECODE_EFFICIENCY
    return efficiency * batch / max(reading, computing) / parallel


def training_rate(setting: Setting, stage: StageName) -> float:
    """Return an estimate of the tokens trained on per second and GPU, padding not counted as tokens.

    A forward pass costs 2 operations per parameter and token, a backward pass twice that (Kaplan et al. 2020); beside
    the pass that is trained there are those for the old and the reference log-probabilities. Of what a pass computes
    `USEFUL_TOKENS` are tokens, the rest is padding.
    """
    config, architecture = setting.config, setting.architecture
    training, settings = config.training, algorithm(config, stage)
    length = setting.lengths.prompt + setting.lengths.response
    attention = 2 * architecture.layers * length * architecture.query_width
    forward = 2 * architecture.parameters + attention
    lora = training.lora.rank > 0
    passes = 1 + (1 if lora else 2)  # adapters need no gradients of the frozen weights
    passes += training.gradient_checkpointing
    passes += training.policy_backend != "transformers" or settings.updates_per_step > 1  # old log-probabilities
    passes += settings.kl_coefficient > 0
    peak = setting.cluster.gpu.tflops * 1e12 * TRAINING_UTILISATION
    if config.training.precision == "float32" and config.model.dtype == "float32":
        peak /= FLOAT32_SLOWDOWN
    return peak / (passes * forward) * USEFUL_TOKENS
