"""The float32 weights behind a model that a training hands on in bfloat16 (`model.handed_on`).

The next round's training of that agent goes on from them: between two numbers of bfloat16 most updates would be lost.
They lie in the workspace, under the evolution, and a file in the model's folder says where. A round's report removes
those that no agent goes on from.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from agent0.config import ModelSettings
from agent0.errors import Agent0Error, UsageError
from agent0.stages.session import Stage
from agent0.storage import transfer
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import MASTER_FILE
from agent0.storage.text_files import read_model
from agent0.storage.uri import NotThereError, NotWholeError, is_in_s3
from agent0.storage.workspace import ENVIRONMENT_VARIABLE, workspace_root
from agent0.types import Record

FOLDER = "masters"


class MasterNote(Record):
    """Where a model's master is."""

    evolution: str = Field(pattern=r"^[\w-]+$")
    name: str = Field(pattern=r"^[\w-]+$")

    @property
    def place(self) -> str:
        """Path or URI, under the workspace's root."""
        return f"{workspace_root()}/{self.evolution}/{FOLDER}/{self.name}"


def check_workspace(model: ModelSettings) -> None:
    """Check that there is a workspace for masters, if there will be any.

    Raises:
        UsageError: there is none.
    """
    if model.rounded and not workspace_root():
        raise UsageError(
            f"model.handed_on 'bfloat16' keeps the float32 weights in the workspace, and {ENVIRONMENT_VARIABLE} names "
            "none: set it to a folder that all stages see or to s3://bucket/prefix (`agent0 pipeline compile "
            "--workspace`), or set model.handed_on to 'trained'."
        )


def keep_master(stage: Stage, master: Path, output: Path) -> None:
    """Move the float32 weights in the folder `master` into the workspace, and note it beside the model in `output`."""
    note = MasterNote(evolution=stage.evolution_id, name=f"{stage.iteration}-{stage.name}")
    transfer.put(master, note.place)
    shutil.rmtree(master)
    write_json(output / MASTER_FILE, note.model_dump())


def to_train_on(stage: Stage, base: Path, folder: Path) -> Path:
    """Return the folder of the weights that a training of the model in `base` goes on from: its master, if it has one.

    Args:
        stage: that trains.
        base: the model that the stage was given.
        folder: where a master from `s3://` is fetched to.

    Raises:
        Agent0Error: the model is of this evolution, and its master is gone.
    """
    note = _note_in(base)
    if note is None:
        return base
    try:
        transfer.manifest_of(note.place)
    except (NotThereError, NotWholeError) as error:
        gone = f"{base} was rounded to bfloat16, and the float32 weights behind it are not at {note.place}"
        if note.evolution == stage.evolution_id:
            raise Agent0Error(
                f"{gone}. Set {ENVIRONMENT_VARIABLE} to where they are, or remove the output of the training that made "
                "them and resume the run, which makes them anew."
            ) from error
        stage.progress.warn(f"{gone}, so the training begins with the rounded ones.")
        return base
    if not is_in_s3(note.place):
        return Path(note.place)
    transfer.get(note.place, folder)
    return folder


def drop_masters(stage: Stage, models: Iterable[Path]) -> None:
    """Remove the evolution's masters but those of `models`."""
    if root := workspace_root():
        kept = {note.name for folder in models if (note := _note_in(folder)) is not None}
        place = f"{root}/{stage.evolution_id}/{FOLDER}"
        for name in set(transfer.entries(place)) - kept:
            transfer.remove(f"{place}/{name}")


def _note_in(model: Path) -> MasterNote | None:
    path = model / MASTER_FILE
    if not path.is_file():
        return None
    return read_model(path, MasterNote, noun="note of a model's master", mended_by="remove that file")
