"""When a training is saved, and stopping when asked to.

Checkpoints are made between generation batches only, because a trainer's buffer of trajectories is not saved: there,
and only there, a resumed training draws and learns the same numbers as an unbroken one.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback

from agent0.training.checkpoint_writer import CheckpointWriter
from agent0.training.checkpoints import complete_checkpoints
from agent0.training.sharded_state import final_state, training_state
from agent0.training.training_job import STOP_FILE, TrainingJob

SECONDS_PER_MINUTE = 60.0


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]
    """Has the writer save what the trainer holds: when the trainer's own count says so, by time, and on request.

    Args:
        job: how often; a file `stop` in its folder asks for a stop, as SIGTERM does.
        writer: what writes.
        boundary: optimizer updates per generation batch.
    """

    def __init__(self, job: TrainingJob, writer: CheckpointWriter, boundary: int) -> None:
        self._seconds = job.training.checkpoints.every_minutes * SECONDS_PER_MINUTE
        self._deepspeed = job.training.sharding == "zero3"
        self._folder = job.workspace
        self._stop_file = job.folder / STOP_FILE
        self._writer = writer
        self._boundary = boundary
        self._saved = time.monotonic()
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

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """From here on the minutes count."""
        self._saved = time.monotonic()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer before it changes weights."""
        self._writer.hold()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """At a batch's end, save if it is time or any process was asked to stop, which it does then, too."""
        if state.global_step % self._boundary or state.global_step >= state.max_steps:
            return
        self._writer.look()
        is_time = self._seconds > 0 and time.monotonic() - self._saved >= self._seconds
        asked, is_time = _any(self._asked or self._stop_file.exists(), is_time)
        if asked or is_time:
            control.should_save = True
        if asked:
            self.stopped = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called when the trainer has written its own part of a checkpoint; after the last update no moments follow."""
        held = None
        if not self._deepspeed:
            model, ended = kwargs["model"], state.global_step >= state.max_steps
            held = final_state(model) if ended else training_state(model, kwargs["optimizer"])
        self._writer.begin(state.global_step, held)
        self._saved = time.monotonic()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer at last: what is made of the training is made of its last checkpoint."""
        self._writer.finish()

    def last_good(self) -> str | None:
        """Return the newest whole checkpoint, for a message; one that is being written is waited for."""
        self._writer.finish()
        found = complete_checkpoints(self._folder)
        return str(found[-1]) if found else None


def _any(*flags: bool) -> tuple[bool, ...]:
    """Return for each flag whether any process has raised it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return flags
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    raised = torch.tensor(flags, dtype=torch.int32, device=device)
    torch.distributed.all_reduce(raised, torch.distributed.ReduceOp.MAX)
    return tuple(bool(flag) for flag in raised.tolist())
