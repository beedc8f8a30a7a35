"""Checkpoints in a workspace: which of them a later attempt can trust, who can read them, and whether more have room.

A checkpoint counts once it holds `complete.json`, written after everything else; what an attempt was killed over is
removed by the next. They are written by `agent0.training.checkpoint_writer`.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from agent0.errors import Agent0Error, UsageError
from agent0.rollout.model_folders import weight_shapes
from agent0.storage.atomic_file import write_json
from agent0.storage.workspace import Workspace
from agent0.training.training_job import TrainingJob

PREFIX = "checkpoint-"
COMPLETE_FILE = "complete.json"
STATE_FILE = "trainer_state.json"
FORMATS = {"ddp": "torch.distributed.checkpoint", "fsdp2": "torch.distributed.checkpoint", "zero3": "DeepSpeed"}
"""What writes and reads the checkpoints of each `training.sharding`."""
FLOAT32, BFLOAT16 = 4, 2
GB = 1e9


def complete_checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints in `folder`, oldest first."""
    found = [path for path in folder.glob(f"{PREFIX}*") if (path / COMPLETE_FILE).is_file()]
    return sorted(found, key=step_of)


def complete(checkpoint: Path, sharding: str) -> None:
    """Mark a checkpoint whole."""
    write_json(checkpoint / COMPLETE_FILE, {"step": step_of(checkpoint), "format": FORMATS[sharding]})


def drop_unfinished(workspace: Workspace) -> None:
    """Remove checkpoints that an earlier attempt was killed over: a trainer would take the newest for whole."""
    for path in workspace.folder.glob(f"{PREFIX}*"):
        if not (path / COMPLETE_FILE).is_file():
            workspace.drop(path.name)


def drop_all_but_last(workspace: Workspace) -> None:
    """Leave of a training that has ended its last checkpoint, which holds weights only."""
    for checkpoint in complete_checkpoints(workspace.folder)[:-1]:
        workspace.drop(checkpoint.name)


def step_of(checkpoint: Path) -> int:
    """Return the optimizer step of a checkpoint folder."""
    return int(checkpoint.name.removeprefix(PREFIX))


def history_of(checkpoint: Path) -> list[dict[str, float]]:
    """Return each step's numbers up to a checkpoint."""
    state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    return step_rows(state["log_history"])


def step_rows(log_history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return the rows of a trainer's log that are optimizer steps, numbers only."""
    rows = [row for row in log_history if "loss" in row]
    return [{k: float(v) for k, v in row.items() if isinstance(v, int | float)} for row in rows]


def check_format(job: TrainingJob) -> None:
    """Check that the job's sharding reads the checkpoints that earlier attempts left.

    Raises:
        UsageError: they are of the other format.
    """
    sharding = job.training.sharding
    for checkpoint in complete_checkpoints(job.workspace):
        found = json.loads((checkpoint / COMPLETE_FILE).read_text(encoding="utf-8")).get("format")
        if found != FORMATS[sharding]:
            readers = [repr(name) for name, written_by in FORMATS.items() if written_by == found]
            setting = f"set training.sharding to {' or '.join(readers)}, or " if readers else ""
            raise UsageError(
                f"The checkpoint {checkpoint} was written by {found or 'an earlier version'}, and training.sharding "
                f"{sharding!r} goes on from those of {FORMATS[sharding]}; {setting}remove "
                f"{job.remote or job.workspace} to train anew."
            )


def checkpoint_bytes(job: TrainingJob) -> int:
    """Return the bytes of one checkpoint: weights that are trained, and two moments of each.

    Adapters are counted for every matrix of the model, some more than there are.
    """
    shapes, rank = weight_shapes(job.base).values(), job.training.lora.rank
    if rank:
        trained, size = sum(rank * sum(shape) for shape in shapes if len(shape) == 2), FLOAT32
    else:
        trained, size = sum(map(math.prod, shapes)), FLOAT32 if job.model.dtype == "float32" else BFLOAT16
    return job.training.checkpoint_bytes(trained, size)


def check_room(job: TrainingJob) -> None:
    """Check that the disk of the workspace holds all checkpoints that are kept, and one that is being written.

    Raises:
        UsageError: it is too small.
    """
    keep, size = job.training.checkpoints.keep, checkpoint_bytes(job)
    there = len(complete_checkpoints(job.workspace))
    needed, free = (keep + 1 - there) * size, free_bytes(job.workspace)
    if needed > free:
        raise UsageError(
            f"Each checkpoint of this training takes {size / GB:.3g} GB, and training.checkpoints.keep {keep} needs "
            f"room for one more than it keeps, but {job.workspace} has {free / GB:.3g} GB left for "
            f"{needed / GB:.3g}; free space there, lower training.checkpoints.keep, or name a larger disk in "
            "AGENT0_WORKSPACE."
        )


def check_next(folder: Path, size: int) -> None:
    """Check that the next checkpoint of so many bytes fits.

    Raises:
        Agent0Error: the disk has been filled meanwhile.
    """
    free = free_bytes(folder)
    if size > free:
        raise Agent0Error(
            f"The next checkpoint takes {size / GB:.3g} GB and {folder} has {free / GB:.3g} GB left; free space there "
            "and run the stage again, it goes on at its last checkpoint."
        )


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free where a folder lies, or will."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
