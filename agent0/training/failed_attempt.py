"""What a training that fails over its own draw notes for the next attempt; `retries.py` says what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent0.errors import Agent0Error
from agent0.rollout.out_of_memory import is_out_of_memory
from agent0.storage.atomic_file import write_json
from agent0.storage.workspace import Workspace
from agent0.training.guards import NotANumberError
from agent0.training.passes import Size
from agent0.training.retries import RETRY_FILE, Retry
from agent0.training.training_job import TrainingJob
from agent0.training.useful_tokens import UsefulTokensTrainer


@dataclass
class Attempt:
    """What a failure is judged by: the trainer, from when there is one."""

    trainer: UsefulTokensTrainer | None = None

    @property
    def largest_pass(self) -> Size | None:
        """The size of the largest pass that was begun, if one was."""
        made = self.trainer.largest_pass if self.trainer else None
        return made if made and made.rows else None


@contextmanager
def leaving_word(job: TrainingJob, workspace: Workspace) -> Iterator[Attempt]:
    """Note for the next attempt why the block failed, if its own draw may be why; the block says what its trainer is.

    Raises:
        Agent0Error: the block ran out of memory.
        NotANumberError: a guard found what is no number.
    """
    attempt = Attempt()
    try:
        yield attempt
    except NotANumberError as error:
        _note(workspace, _next(job, error.found, job.training.micro_batch_tokens))
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        happened, budget, then = _smaller(job.training.micro_batch_tokens, attempt.largest_pass)
        _note(workspace, _next(job, f"out of memory {happened}", budget))
        said = str(error).partition("\n")[0] or type(error).__name__
        raise Agent0Error(
            f"The training ran out of memory {happened} ({said:.200}). Run again, the stage goes on at its last "
            f"checkpoint with the next seed and {then}; or give it more memory, of which `agent0 plan` says how much "
            "it needs."
        ) from error


def _smaller(budget: int, largest: Size | None) -> tuple[str, int, str]:
    """Return when the memory ran out, the budget of the next attempt's passes, and what these are, both in words."""
    if largest is None:
        return "before its first pass", budget, "passes as before"
    if largest.rows == 1:
        alone = f"in passes of up to one trajectory, of {largest.positions} tokens"
        return alone, largest.positions, "passes of one trajectory, as before"
    half = largest.positions // 2
    return f"in passes of up to {largest.positions} tokens", half, f"passes of up to {half} tokens"


def _next(job: TrainingJob, reason: str, micro_batch_tokens: int) -> Retry:
    return Retry(reseeded=job.reseeded + 1, micro_batch_tokens=micro_batch_tokens, reason=reason)


def _note(workspace: Workspace, retry: Retry) -> None:
    """Every process that fails does so, each by its own largest pass; the last is heard."""
    write_json(workspace.folder / RETRY_FILE, retry.model_dump())
    workspace.save(RETRY_FILE)
