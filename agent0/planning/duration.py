"""Seconds of each stage, and what its GPUs do in them, from measured rates or estimates (`agent0.planning.throughput`).

Left out: downloads. Checkpoints are `agent0.planning.checkpoint_costs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent0.config import Config
from agent0.planning.checkpoint_costs import COPIED_GB_PER_SECOND, WRITTEN_GB_PER_SECOND
from agent0.planning.gpu_memory import handed_on_bytes
from agent0.planning.placement import Placement, StageName, algorithm, sequences_per_step
from agent0.planning.throughput import (
    DECODE_EFFICIENCY,
    FLOAT32_SLOWDOWN,
    TRAINING_UTILISATION,
    TRANSFORMERS_EFFICIENCY,
    USEFUL_TOKENS,
    Drawing,
    Setting,
    drawing_rate,
    tail_seconds,
    training_rate,
)
from agent0.planning.token_work import Work

Source = Literal["measured", "part measured", "estimate"]

ENGINE_START_SECONDS = 180.0
"""Loading a model and starting vLLM on it, once per stage. Assumed; vLLM's blog has 30 to over 100 s (docs/plan.md)."""
LOADING_SECONDS = 30.0
"""The same without vLLM. Assumed."""
STEP_OVERHEAD_SECONDS = 15.0
"""Weight sync, waking the engine and rewards, once per generation batch. Assumed; waking takes 0.8 to 2.6 s of it
(docs/plan.md)."""
WEIGHTS_READ_GB_PER_SECOND = 1.0
"""How fast a frozen model's weights come into an engine that it shares, once per generation batch. Assumed."""
STREAMING = 1.01
"""How much longer proposing and solving take together than the longer of them, where the executor has GPUs of its own
and begins with each question as it is proposed. Measured by `bench/waiting.py`."""

ASSUMPTIONS = {
    "decode efficiency": DECODE_EFFICIENCY,
    "transformers efficiency": TRANSFORMERS_EFFICIENCY,
    "training utilisation": TRAINING_UTILISATION,
    "useful tokens": USEFUL_TOKENS,
    "float32 slowdown": FLOAT32_SLOWDOWN,
    "engine start seconds": ENGINE_START_SECONDS,
    "loading seconds": LOADING_SECONDS,
    "step overhead seconds": STEP_OVERHEAD_SECONDS,
    "weights read GB per second": WEIGHTS_READ_GB_PER_SECOND,
    "streaming": STREAMING,
    "checkpoint copied GB per second and GPU": COPIED_GB_PER_SECOND,
    "checkpoint written GB per second": WRITTEN_GB_PER_SECOND,
}


@dataclass(frozen=True)
class Duration:
    """Seconds of a stage by what they go into, and where its rates come from.

    `starting` comes once, `changing` (weights, sleep, rewards) with each batch. `saved` is where drawing and training,
    or the drawing of two models, overlap. `gpu_tails`, which the drawing holds, are seconds of all GPUs that draw.
    """

    starting: float
    changing: float
    drawing: float
    gpu_tails: float
    training: float
    saved: float
    source: Source

    @property
    def seconds(self) -> float:
        """From the stage's beginning to its end."""
        return self.starting + self.changing + self.drawing + self.training - self.saved


def stage_duration(stage: StageName, placement: Placement, work: Work, setting: Setting) -> Duration:
    """Return the seconds of a stage that fits where `placement` says."""
    if work.drawn == 0:
        return Duration(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "measured" if setting.measured else "estimate")
    drawings = [drawing for drawing in stage_drawings(stage, placement, work, setting.config) if drawing.tokens]
    transformers_only = all(drawing.backend == "transformers" for drawing in drawings)
    changing = work.steps * STEP_OVERHEAD_SECONDS
    if placement.shared:
        folders = 2 if setting.config.training.sends_adapters else 1  # of the frozen model; of the base model, too
        folder = folders * handed_on_bytes(setting.config) * setting.architecture.parameters
        changing += work.steps * folder / (WEIGHTS_READ_GB_PER_SECOND * 1e9)
    sources: list[bool] = []
    drawn: list[float] = []
    tails = trained = 0.0
    for drawing in drawings:
        measured = drawing.measured_rate(setting.measured)
        tail = 0.0 if measured else tail_seconds(setting, drawing)  # a measured rate has its tails in it
        drawn.append(drawing.tokens / ((measured or drawing_rate(setting, drawing)) * drawing.gpus) + tail)
        tails += tail * drawing.gpus
        sources.append(measured is not None)
    if work.trained:
        measured = setting.measured.trained_per_second if setting.measured else None
        trained = work.trained / ((measured or training_rate(setting, stage)) * placement.trainers)
        sources.append(measured is not None)
    saved = 0.0
    if draws_ahead(stage, placement, setting.config):  # nothing is trained on while the first batch is drawn
        saved = min(sum(drawn), trained) * (1 - 1 / work.steps)
    elif placement.trainers and placement.frozen_servers and len(drawn) > 1:
        saved = sum(drawn) - STREAMING * max(drawn)
    return Duration(
        starting=LOADING_SECONDS if transformers_only else ENGINE_START_SECONDS,
        changing=changing,
        drawing=sum(drawn),
        gpu_tails=tails,
        training=trained,
        saved=max(0.0, saved),
        source="measured" if all(sources) else "part measured" if any(sources) else "estimate",
    )


def draws_ahead(stage: StageName, placement: Placement, config: Config) -> bool:
    """Whether a batch is drawn, on GPUs that do nothing else, while the one before it is trained on."""
    return bool(config.training.staleness and placement.policy_servers and stage == "executor_training")


def stage_drawings(stage: StageName, placement: Placement, work: Work, config: Config) -> list[Drawing]:
    """Return the policy's drawing, where there is a policy, and the frozen model's."""
    policy_gpus = placement.policy_servers or placement.trainers
    frozen_gpus = placement.frozen_servers or placement.frozen_in_process
    backend = config.rollout.backend if config.rollout.on_vllm else "transformers"
    each = config.rollout.batch_size if backend == "transformers" else config.rollout.concurrency
    engines = frozen_gpus if backend == "transformers" else frozen_gpus // config.rollout.vllm.tensor_parallel_size
    batches = max(1, work.steps)
    frozen = Drawing(stage, work.drawn_by_frozen, frozen_gpus, backend, each * engines, batches)
    if not placement.trainers:
        return [frozen]
    sequences = sequences_per_step(algorithm(config, stage))
    if placement.shared:  # TRL builds the engine for as many sequences as the policy draws at once
        at_once = min(config.rollout.concurrency * placement.trainers, sequences)
        frozen = Drawing(stage, work.drawn_by_frozen, placement.trainers, "colocated", at_once, batches)
    policy = Drawing(stage, work.drawn_by_policy, policy_gpus, _policy_backend(config), sequences, batches, True)
    return [policy, frozen]


def _policy_backend(config: Config) -> str:
    return "colocated" if config.training.policy_backend == "vllm" else config.training.policy_backend
