"""How much of its GPU a training process gives to the vLLM engine beside it: what the plan of the stage says."""

from __future__ import annotations

import torch

from agent0.config import ModelSettings
from agent0.errors import UsageError
from agent0.planning.architecture import Architecture, architecture_of
from agent0.planning.engine_share import colocated_engine
from agent0.planning.gpu_memory import GIB
from agent0.training.batch_division import BatchPlan
from agent0.training.training_job import TrainingJob


def engine_share(job: TrainingJob, plan: BatchPlan) -> float:
    """Return the share of the GPU that is here.

    Raises:
        UsageError: the trainer leaves the engine too little, or the model is none that the plan has formulas for.
    """
    if job.training.colocated_memory:
        return job.training.colocated_memory
    return planned_share(job, plan, torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / GIB)


def planned_share(job: TrainingJob, plan: BatchPlan, memory_gib: float) -> float:
    """Return the share that the plan gives an engine on a GPU of so much memory; raises as `engine_share` does."""
    engine = colocated_engine(planned_architecture(job), job, job.algorithm, plan.rows, plan.processes, memory_gib)
    if engine.trajectories < 1:
        raise UsageError(
            f"The trainer leaves vLLM {engine.budget:.1f} of the GPU's {memory_gib:.1f} GiB, but weights, workspace "
            f"and one trajectory take {engine.least:.1f}. `agent0 plan` says what fits: training.lora.rank, more GPUs "
            "with training.sharding 'fsdp2', or a lower training.micro_batch_tokens."
        )
    return engine.budget / memory_gib


def planned_architecture(job: TrainingJob) -> Architecture:
    """Return the sizes of the model in training.

    Raises:
        UsageError: the plan has no formulas for it.
    """
    try:
        return architecture_of(ModelSettings(source=str(job.base)))
    except UsageError as error:
        raise UsageError(
            f"{error} Without them the share of the GPU for the vLLM engine beside the trainer cannot be planned; set "
            "it by training.colocated_memory."
        ) from error
