"""What share of a GPU the vLLM engine beside a trainer gets, where the settings leave it to the plan."""

from __future__ import annotations

import math

from agent0.config import CurriculumSettings, ExecutorSettings
from agent0.planning.architecture import Architecture
from agent0.planning.gpu_memory import (
    COLOCATED_BATCHED_TOKENS,
    MARGIN,
    Engine,
    Settings,
    engine,
    full_length,
    training_state,
)

HUNDREDTHS = 100


def colocated_engine(
    architecture: Architecture,
    settings: Settings,
    algorithm: CurriculumSettings | ExecutorSettings,
    rows: int,
    processes: int,
    memory_gib: float,
) -> Engine:
    """Return the engine beside each of `processes` trainers on GPUs of so much memory.

    `training.colocated_memory` says its share of the GPU. Where that is 0 it is what the trainer leaves while the
    engine is awake, rounded down to hundredths, and no more than lets all trajectories of a batch be in flight at full
    length.

    Args:
        architecture: the model's sizes.
        settings: of the training.
        algorithm: of the agent that is trained.
        rows: trajectories of one process in an update.
        processes: training processes on all nodes.
        memory_gib: of one GPU.
    """
    training = settings.training
    adapters = architecture.adapter_parameters(training.lora.engine_rank) if training.sends_adapters else 0

    def of(budget: float) -> Engine:
        length, batched = full_length(settings), COLOCATED_BATCHED_TOKENS
        return engine(architecture, settings.rollout.vllm, length, 1, budget, batched, adapters)

    if training.colocated_memory:
        return of(training.colocated_memory * memory_gib)
    state = training_state(architecture, settings, algorithm, rows, processes)
    held = sum(state.standing.values()) + state.weight_sync
    if not training.colocated_sleep:
        held = max(held, sum(state.standing.values()) + sum(state.updating.values()))
    left = memory_gib * (1 - MARGIN) - held
    any_size = of(0.0)
    wanted = any_size.weights + any_size.workspace + rows * algorithm.updates_per_step * any_size.trajectory
    share = math.floor(HUNDREDTHS * min(left, wanted) / memory_gib) / HUNDREDTHS
    return of(max(0.0, share) * memory_gib)
