"""What a training's checkpoints, and the model that it hands on, take of the disk and of the trainers' time.

A checkpoint is copied out of the GPUs while the trainers wait, and written while they do not. They wait again where the
one before is still being written, and for the last one. Leaves out the copy to S3, which is made meanwhile, too.
"""

from __future__ import annotations

from pydantic import Field

from agent0.config import Config, CurriculumSettings, ExecutorSettings
from agent0.planning.architecture import Architecture
from agent0.planning.gpu_memory import handed_on_bytes, stored_bytes, trained_parameters
from agent0.planning.stage_demands import PlanRecord

GB = 1e9
SECONDS_PER_MINUTE = 60.0
COPIED_GB_PER_SECOND = 10.0
"""How fast one GPU's memory is copied into pinned memory of its host. Assumed: under half of PCIe 4.0 with 16 lanes."""
WRITTEN_GB_PER_SECOND = 1.0
"""How fast all nodes together write to the workspace's disk, and a stage writes and reads a model. Assumed."""
MASTERS = 4
"""Float32 weights in the workspace where models are rounded: of both agents, from this round and the one before."""


class CheckpointPlan(PlanRecord):
    """A training's checkpoints, and the model at its end."""

    gigabytes: float = Field(description="GB of one: trained weights and the optimizer's state.")
    count: int = Field(description="How many are made.")
    disk_gigabytes: float = Field(
        description=(
            "GB of the workspace: those kept, one being written, the weights of the training before, and the float32 "
            "weights of rounded models."
        )
    )
    copying_seconds: float = Field(description="In which the trainers wait for the copies out of their memory.")
    waiting_seconds: float = Field(description="In which they wait for a checkpoint before, and for the last one.")
    handing_on_seconds: float = Field(description="Reading the last one and writing the model for the other stages.")

    @property
    def seconds(self) -> float:
        """All that checkpoints add to the stage."""
        return self.copying_seconds + self.waiting_seconds + self.handing_on_seconds


def checkpoint_plan(
    architecture: Architecture,
    config: Config,
    settings: CurriculumSettings | ExecutorSettings,
    processes: int,
    seconds: float,
) -> CheckpointPlan:
    """Return what the checkpoints of a training take.

    Args:
        architecture: the model's sizes.
        config: all settings.
        settings: of the training.
        processes: that train, on all nodes.
        seconds: of the training without them.
    """
    chosen = config.training.checkpoints
    trained, size = trained_parameters(architecture, config)
    one = config.training.checkpoint_bytes(trained, size) / GB
    by_count = -(-settings.steps // chosen.every) if chosen.every else 1
    by_time = int(seconds / SECONDS_PER_MINUTE / chosen.every_minutes) + 1 if chosen.every_minutes else 1
    count = min(settings.steps, max(by_count, by_time))  # the last batch's is always one of them
    copying, writing = one / processes / COPIED_GB_PER_SECOND, one / WRITTEN_GB_PER_SECOND
    late = max(0.0, writing - seconds / count)
    stored = stored_bytes(config) * architecture.parameters / GB
    master = stored if config.model.rounded else 0.0
    # Read are the model before it and what was trained; written the model, and its master twice: here and at its place.
    moved = stored + trained * size / GB + handed_on_bytes(config) * architecture.parameters / GB + 2 * master
    return CheckpointPlan(
        gigabytes=one,
        count=count,
        disk_gigabytes=(chosen.keep + 1) * one + trained * size / GB + MASTERS * master,
        copying_seconds=count * copying,
        waiting_seconds=(count - 1) * late + writing,
        handing_on_seconds=moved / WRITTEN_GB_PER_SECOND,
    )
