"""How one generation batch is cut into updates, processes and micro-batches."""

from __future__ import annotations

from dataclasses import dataclass

from agent0.errors import UsageError
from agent0.training.job import TrainingJob


@dataclass(frozen=True)
class BatchPlan:
    """How one generation batch is cut: groups of trajectories, optimizer updates, processes, micro-batches."""

    groups: int
    group_size: int
    updates: int
    micro_batch_size: int
    processes: int = 1

    @classmethod
    def of(cls, job: TrainingJob, processes: int) -> BatchPlan:
        """Return the plan of a job on that many processes."""
        settings = job.algorithm
        return cls(
            settings.groups_per_step,
            settings.group_size,
            settings.updates_per_step,
            settings.micro_batch_size,
            processes,
        )

    @property
    def sequences(self) -> int:
        """Trajectories in a generation batch."""
        return self.groups * self.group_size

    def __post_init__(self) -> None:
        per_process, rest = divmod(self.sequences, self.updates * self.processes)
        if rest or not per_process or per_process % (self.micro_batch_size or per_process):
            raise UsageError(
                f"{self.groups} groups of {self.group_size} trajectories cannot be cut into {self.updates} updates on "
                f"{self.processes} processes of micro-batches of {self.micro_batch_size or per_process}; choose "
                "numbers that divide."
            )

    @property
    def forward_size(self) -> int:
        """Sequences per forward pass of one process."""
        return self.micro_batch_size or self.sequences // self.updates // self.processes

    @property
    def accumulation(self) -> int:
        """Forward passes of one process per optimizer update."""
        return self.sequences // self.updates // self.processes // self.forward_size
