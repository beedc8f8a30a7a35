"""How one generation batch is cut into updates and processes; the passes of each are `agent0.training.passes`."""

from __future__ import annotations

from dataclasses import dataclass

from agent0.errors import UsageError
from agent0.training.training_job import TrainingJob


@dataclass(frozen=True)
class BatchPlan:
    """How one generation batch is cut: groups of trajectories, optimizer updates, processes."""

    groups: int
    group_size: int
    updates: int
    processes: int = 1

    @classmethod
    def of(cls, job: TrainingJob, processes: int) -> BatchPlan:
        """Return the plan of a job on that many processes."""
        settings = job.algorithm
        groups, size = settings.groups_per_step, settings.group_size
        if job.compares_batch:
            groups, size = 1, groups * size
        return cls(groups, size, settings.updates_per_step, processes)

    @property
    def sequences(self) -> int:
        """Trajectories in a generation batch."""
        return self.groups * self.group_size

    def __post_init__(self) -> None:
        rows, rest = divmod(self.sequences, self.updates * self.processes)
        if rest or not rows:
            raise UsageError(
                f"{self.groups} groups of {self.group_size} trajectories cannot be cut into {self.updates} updates on "
                f"{self.processes} processes; choose numbers that divide."
            )

    @property
    def rows(self) -> int:
        """Trajectories that one process trains on in one update."""
        return self.sequences // self.updates // self.processes
