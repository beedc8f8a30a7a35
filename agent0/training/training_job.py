"""One training as a file, so that every process of every node reads the same.

The job's folder holds what its processes tell the one that started them: each step's numbers, what is drawn meanwhile,
and the sentence of an error. Whoever wants the training to stop puts a file there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from agent0.config import (
    CurriculumSettings,
    ExecutorSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrainingSettings,
)
from agent0.errors import Agent0Error
from agent0.progress import UNSHOWN, Shown
from agent0.seeds import derive_seed
from agent0.storage.atomic_file import write_json
from agent0.types import Record

JOB_FILE = "job.json"
STEPS_FILE = "steps.jsonl"
STOP_FILE = "stop"
LOG_FILE = "training.log"
ERROR_FILE = "error.txt"
PREEMPTED_STATUS = 143
LogMetrics = Callable[[Mapping[str, float], int], None]


class PreemptedError(Agent0Error):
    """The training was asked to stop, saved a checkpoint and ended; run again, it goes on there."""

    exit_code = PREEMPTED_STATUS


class TrainingJob(Record):
    """Everything that a training process needs to know.

    `folder` is the job's own; `workspace` holds the checkpoints, copied to `remote` where that is set. `negative_tasks`
    only have refused answers, `anchor_tasks` are given examples, `earlier_tasks` and `earlier_questions` are what
    earlier iterations kept and asked; they are None where nobody looks at them. A frozen executor is reached at
    `executor_endpoints`, or loaded from `frozen_executor` by each process. Weights go to the policy's server at
    `policy_endpoint` over `policy_port` of the first training process. `master` is where the trained weights go in
    float32 if the `output` is rounded. `reseeded` counts the attempts that failed over what they drew.
    """

    folder: Path
    base: Path
    output: Path
    master: Path | None = None
    workspace: Path
    remote: str | None = None
    tasks: Path | None = None
    negative_tasks: Path | None = None
    anchor_tasks: Path | None = None
    earlier_tasks: Path | None = None
    earlier_questions: Path | None = None
    frozen_executor: Path | None = None
    executor_endpoints: tuple[str, ...] = ()
    policy_endpoint: str = ""
    policy_port: int = 0
    model: ModelSettings
    rollout: RolloutSettings
    sandbox: SandboxSettings
    algorithm: CurriculumSettings | ExecutorSettings
    agent: Literal["curriculum", "executor"]
    training: TrainingSettings
    seed: int
    reseeded: int = 0

    @property
    def updates(self) -> int:
        """Optimizer updates from beginning to end."""
        return self.algorithm.steps * self.algorithm.updates_per_step

    @property
    def drawing_seed(self) -> int:
        """Seed of what is drawn; the order of the tasks stays that of `seed`, whichever attempt this is."""
        return derive_seed(self.seed, "again", self.reseeded) if self.reseeded else self.seed

    @property
    def compares_batch(self) -> bool:
        """Whether all proposals of a batch, being asked with one text, make one group."""
        settings = self.algorithm
        return (
            isinstance(settings, CurriculumSettings)
            and settings.baseline == "batch"
            and not settings.conditioning.is_on
        )

    @property
    def shares_engine(self) -> bool:
        """Whether a frozen executor draws from the training process's own vLLM engine, in turn with the policy."""
        return self.frozen_executor is not None and self.training.shares_engine(self.rollout)

    @property
    def failed(self) -> bool:
        """Whether a process has left the sentence of an error."""
        return (self.folder / ERROR_FILE).is_file()

    @property
    def asked_to_stop(self) -> bool:
        """Whether the processes have been asked to stop."""
        return (self.folder / STOP_FILE).exists()

    def write(self) -> Path:
        """Write the job into its folder and return the file."""
        write_json(self.folder / JOB_FILE, self.model_dump(mode="json"))
        return self.folder / JOB_FILE

    @classmethod
    def read(cls, path: Path) -> TrainingJob:
        """Read a job that `write` wrote.

        Raises:
            Agent0Error: there is none.
        """
        if not path.is_file():
            raise Agent0Error(f"There is no training job at {path}; the stage that trains writes it.")
        values = json.loads(path.read_text(encoding="utf-8"))
        kind = CurriculumSettings if values["agent"] == "curriculum" else ExecutorSettings
        return cls.model_validate({**values, "algorithm": kind.model_validate(values["algorithm"])})


class StepsFile:
    """Appends each step's numbers, and what is drawn for it, to the job's folder, for another process to read."""

    def __init__(self, job: TrainingJob) -> None:
        self._path = job.folder / STEPS_FILE

    def __call__(self, numbers: Mapping[str, float], step: int) -> None:
        """Write one step."""
        self._write({"step": step, "numbers": dict(numbers)})

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        """See `agent0.progress.Shown`."""
        self._write({"drawn": {"done": done, "total": total, "unit": unit, "detail": detail}})

    def warn(self, message: str) -> None:
        """See `agent0.progress.Shown`."""
        self._write({"warning": message})

    def _write(self, row: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class StepsReader:
    """Reads what another process has written since the last look, and shows what it draws."""

    def __init__(self, folder: Path, shown: Shown = UNSHOWN) -> None:
        self._path = folder / STEPS_FILE
        self._shown = shown
        self._offset = 0

    def new(self) -> list[tuple[dict[str, float], int]]:
        """Return the steps written since the last call."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        rows: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        for row in rows:
            if "drawn" in row:
                self._shown.step(**row["drawn"])
            elif "warning" in row:
                self._shown.warn(row["warning"])
        return [(row["numbers"], int(row["step"])) for row in rows if "numbers" in row]
