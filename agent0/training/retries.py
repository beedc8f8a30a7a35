"""What a training that failed over its own draw leaves in its workspace, so that the next attempt does not repeat it.

Where a number of an update is none any more, the next attempt draws with the next seed. Where the memory does not
suffice, it also makes passes of half the size. A process that the system kills for its memory can leave nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent0.errors import Agent0Error
from agent0.rollout.out_of_memory import is_out_of_memory
from agent0.storage.atomic_file import write_json
from agent0.storage.text_files import read_model
from agent0.storage.workspace import Workspace
from agent0.training.batch_division import BatchPlan
from agent0.training.guards import NotANumberError
from agent0.training.training_job import TrainingJob
from agent0.types import Record

RETRY_FILE = "retry.json"


class Retry(Record):
    """How the next attempt differs from the settings."""

    reseeded: int
    micro_batch_tokens: int
    reason: str

    def __str__(self) -> str:
        """Return the sentence for the log."""
        budget = f" in passes of up to {self.micro_batch_tokens} tokens" if self.micro_batch_tokens else ""
        return (
            f"An earlier attempt failed: {self.reason}. So that this one does not repeat it, it draws with seed number "
            f"{self.reseeded + 1} and trains{budget or ' as before'}."
        )


def read_retry(workspace: Workspace) -> Retry | None:
    """Return what earlier attempts left; None where none of them failed over its draw."""
    path = workspace.folder / RETRY_FILE
    if not path.is_file():
        return None
    return read_model(path, Retry, noun="note of an earlier attempt", mended_by="remove that file")


def retried(job: TrainingJob, retry: Retry) -> TrainingJob:
    """Return the job as the next attempt trains it."""
    training = job.training.model_copy(update={"micro_batch_tokens": retry.micro_batch_tokens})
    return job.model_copy(update={"training": training, "reseeded": retry.reseeded})


@contextmanager
def leaving_word(job: TrainingJob, plan: BatchPlan, workspace: Workspace) -> Iterator[None]:
    """Note for the next attempt why the block failed, if its own draw may be why.

    Raises:
        Agent0Error: the block ran out of memory.
        NotANumberError: a guard found what is no number.
    """
    try:
        yield
    except NotANumberError as error:
        _note(workspace, _next(job, error.found, job.training.micro_batch_tokens))
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        longest = job.rollout.max_prompt_tokens + job.rollout.max_response_tokens
        whole = plan.rows * longest
        budget = min(job.training.micro_batch_tokens or whole, whole)
        smaller = max(longest, budget // 2)
        _note(workspace, _next(job, f"out of memory in passes of up to {budget} tokens", smaller))
        said = str(error).partition("\n")[0] or type(error).__name__
        what = f"passes of up to {smaller} tokens" if smaller < budget else "passes of one trajectory, as before"
        raise Agent0Error(
            f"The training ran out of memory in passes of up to {budget} tokens ({said:.200}). "
            f"Run again, the stage goes on at its last checkpoint with the next seed and {what}; or give it more "
            "memory, of which `agent0 plan` says how much it needs."
        ) from error


def _next(job: TrainingJob, reason: str, micro_batch_tokens: int) -> Retry:
    return Retry(reseeded=job.reseeded + 1, micro_batch_tokens=micro_batch_tokens, reason=reason)


def _note(workspace: Workspace, retry: Retry) -> None:
    """Every process that fails does so, with the same words."""
    write_json(workspace.folder / RETRY_FILE, retry.model_dump())
    workspace.save(RETRY_FILE)
