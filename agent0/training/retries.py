"""What a training that failed over its own draw leaves in its workspace, so that the next attempt does not repeat it.

Where a number of an update is none any more, the next attempt draws with the next seed, and so do its servers. Where
the memory does not suffice, it also makes passes of half the size of the largest that was made. A process that the
system kills for its memory can leave nothing. `failed_attempt.py` writes the note.
"""

from __future__ import annotations

from agent0.storage.text_files import read_model
from agent0.storage.workspace import Workspace
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
    """Return the job as the next attempt trains it: in passes of what the note or the settings say, if that is less."""
    budgets = filter(None, (job.training.micro_batch_tokens, retry.micro_batch_tokens))
    training = job.training.model_copy(update={"micro_batch_tokens": min(budgets, default=0)})
    return job.model_copy(update={"training": training, "reseeded": retry.reseeded})
