"""Checkpoints that a later attempt can trust, and stopping when asked to.

A checkpoint counts once it holds `complete.json`, written after everything else; what an attempt was killed over is
removed by the next. Checkpoints are made between generation batches only, because a trainer's buffer of trajectories is
not saved: there, and only there, a resumed training draws and learns the same numbers as an unbroken one.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from agent0.storage.atomic_file import write_json
from agent0.storage.workspace import Workspace
from agent0.training.training_job import STOP_FILE

PREFIX = "checkpoint-"
COMPLETE_FILE = "complete.json"
STATE_FILE = "trainer_state.json"


def complete_checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints in `folder`, oldest first."""
    found = [path for path in folder.glob(f"{PREFIX}*") if (path / COMPLETE_FILE).is_file()]
    return sorted(found, key=step_of)


def drop_unfinished(workspace: Workspace) -> None:
    """Remove checkpoints that an earlier attempt was killed over: a trainer would take the newest for whole."""
    for path in workspace.folder.glob(f"{PREFIX}*"):
        if not (path / COMPLETE_FILE).is_file():
            workspace.drop(path.name)


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


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint whole, copies it to the workspace's remote, removes the oldest, and stops on request.

    Args:
        workspace: where the trainer writes its checkpoints.
        keep: whole checkpoints to keep.
        boundary: optimizer updates per generation batch.
        job_folder: a file `stop` there asks for a stop, as SIGTERM does.
    """

    def __init__(self, workspace: Workspace, keep: int, boundary: int, job_folder: Path) -> None:
        self._workspace = workspace
        self._keep = keep
        self._boundary = boundary
        self._stop_file = job_folder / STOP_FILE
        self._asked = False
        self.stopped = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM as a request to stop for the length of the block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(*_: Any) -> None:
            self._asked = True

        before = signal.signal(signal.SIGTERM, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """At a batch's end, save and stop if any process was asked to."""
        if state.global_step % self._boundary == 0 and state.global_step < state.max_steps and self._any_asked():
            self.stopped = control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called after the trainer has written a checkpoint."""
        if _distributed():
            torch.distributed.barrier()  # each process writes its own random state
        if not state.is_world_process_zero:
            return
        name = f"{PREFIX}{state.global_step}"
        write_json(self._workspace.folder / name / COMPLETE_FILE, {"step": state.global_step})
        self._workspace.save(name)
        for old in complete_checkpoints(self._workspace.folder)[: -self._keep]:
            self._workspace.drop(old.name)

    def last_good(self) -> str | None:
        """Return the newest whole checkpoint, for a message."""
        found = complete_checkpoints(self._workspace.folder)
        return str(found[-1]) if found else None

    def _any_asked(self) -> bool:
        asked = self._asked or self._stop_file.exists()
        if not _distributed():
            return asked
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        flag = torch.tensor(int(asked), device=device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return bool(flag.item())


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
