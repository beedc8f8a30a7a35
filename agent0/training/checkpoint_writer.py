"""Checkpoints written behind the trainer's back, one at a time: on the disk, then at the workspace's remote.

The trainer waits for two things. Its next update may not change what has not been copied out of its memory yet; and
another checkpoint begins when the one before is written. What goes wrong meanwhile is raised at the next batch's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from agent0.errors import Agent0Error, explain
from agent0.storage.workspace import Workspace
from agent0.training.checkpoints import PREFIX, check_next, complete, complete_checkpoints
from agent0.training.sharded_state import Files, State, file_numbers, own_share, state_bytes, write_state


class CheckpointWriter:
    """Writes a state into the workspace's `checkpoint-STEP`, marks it whole, copies it, removes the oldest.

    Args:
        workspace: where the checkpoints lie.
        keep: whole checkpoints to keep.
        sharding: of the training; DeepSpeed writes its own files.
    """

    def __init__(self, workspace: Workspace, keep: int, sharding: str) -> None:
        self._workspace = workspace
        self._keep = keep
        self._sharding = sharding
        # Its own group, since the trainer talks in the other one at the same time; of processors, since GPUs are busy.
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._first = self._group is None or dist.get_rank() == 0
        self._gpu = torch.cuda.is_available()
        self._stager = self._new_stager()
        self._thread = ThreadPoolExecutor(1, "agent0-checkpoint")
        self._staged: Any = None  # a future of a copy of the state, until that is written
        self._written: Future[None] | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let checkpoints be written for the length of the block; its end waits for the last, after an error, too."""
        try:
            yield
        finally:
            self._thread.shutdown()
            self._stager.close()

    def begin(self, step: int, state: State | None) -> None:
        """Write a checkpoint beside the files that the trainer has put into its folder, once that before is written.

        Args:
            step: optimizer updates so far.
            state: what is to be written; it may change only after `hold`. None where it lies in the folder already.

        Raises:
            Agent0Error: the one before could not be written, or this one has no room.
        """
        self.finish()
        if self._first and state is not None:
            check_next(self._workspace.folder, state_bytes(state))
        if self._gpu:
            torch.cuda.synchronize()  # it is copied on a stream of its own, which knows nothing of the last update
        files = file_numbers(state or {})
        self._staged = None if state is None else self._stager.stage(own_share(state))
        self._written = self._thread.submit(self._write, f"{PREFIX}{step}", files)

    def hold(self) -> None:
        """Wait until the state has been copied out of the trainer's memory."""
        if (staged := self._staged) is not None:
            staged.result()

    def look(self) -> None:
        """Raise what went wrong with a checkpoint, without waiting for it.

        Raises:
            Agent0Error: it could not be written.
        """
        if self._written is not None and self._written.done():
            self.finish()

    def finish(self) -> None:
        """Wait until the checkpoint at work is written.

        Raises:
            Agent0Error: it could not be written.
        """
        written, self._written = self._written, None
        if written is None:
            return
        try:
            written.result()
        except CheckpointException as error:
            rank, (cause, _) = next(iter(error.failures.items()))
            raise Agent0Error(
                f"Process {rank} could not write a checkpoint to {self._workspace.folder}. {explain(cause)}"
            ) from error
        except OSError as error:
            raise Agent0Error(
                f"A checkpoint in {self._workspace.folder} could not be finished. {explain(error)}"
            ) from error

    def _new_stager(self) -> DefaultStager:
        return DefaultStager(StagingOptions(self._gpu, False, True, self._gpu))

    def _write(self, name: str, files: Files) -> None:
        folder = self._workspace.folder / name
        if self._staged is not None:
            write_state(self._staged.result(), files, folder, self._group)
            self._let_go()
        self._meet()  # each process has put its own files there, the state of its random numbers for one
        if self._first:
            complete(folder, self._sharding)
        self._meet()  # from here on every process finds it
        if self._first:
            self._workspace.save(name)
            for old in complete_checkpoints(self._workspace.folder)[: -self._keep]:
                self._workspace.drop(old.name)

    def _let_go(self) -> None:
        """Free the copy of the state; beside a GPU its pinned pages, which take long to get, serve for the next."""
        self._staged = None
        if not self._gpu:
            self._stager.close()
            self._stager = self._new_stager()

    def _meet(self) -> None:
        if self._group is not None:
            dist.barrier(self._group)
