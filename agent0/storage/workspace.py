"""Where a stage keeps unfinished work, so that a later attempt goes on with it instead of starting anew.

The environment variable `AGENT0_WORKSPACE` names the root: a folder that outlives the attempt (`agent0 evolve` sets one
inside the run's folder; a mounted volume on a cluster), or an `s3://` prefix, to which finished pieces are copied as
they are made. Without it unfinished work lies beside the stage's output, and another attempt on another disk starts
anew. A workspace belongs to one stage of one iteration of one evolution, and remembers the settings it was made with;
they bind nobody before its first piece is there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent0.storage import transfer
from agent0.storage.same_settings import begin_or_agree
from agent0.storage.uri import is_in_s3

ENVIRONMENT_VARIABLE = "AGENT0_WORKSPACE"
SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class Workspace:
    """A local folder of pieces (files, or folders that are whole once they are saved), mirrored to `remote` if any."""

    folder: Path
    remote: str | None = None

    def save(self, name: str) -> None:
        """Copy the finished piece `name` to where a later attempt finds it."""
        if self.remote:
            transfer.put(self.folder / name, f"{self.remote}/{name}")

    def drop(self, name: str) -> None:
        """Remove a piece here and where it was copied to."""
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if self.remote:
            transfer.remove(f"{self.remote}/{name}")


def workspace_root() -> str:
    """Return the configured root, a path or an `s3://` prefix without a slash at its end; empty if there is none."""
    return os.environ.get(ENVIRONMENT_VARIABLE, "").rstrip("/")


def open_workspace(key: str, beside: Path, settings: Mapping[str, Any], may_change: Collection[str] = ()) -> Workspace:
    """Open the workspace `key`, with every piece that earlier attempts finished.

    Args:
        key: evolution, iteration and stage, as `RUN/2-executor_training`.
        beside: the stage's output folder, used where no root is configured.
        settings: JSON values that must be those of the earlier attempts: configuration, seed, digests of the inputs.
        may_change: those of them, or their sections, as `section.field`, that need not be the same.

    Raises:
        UsageError: an earlier attempt, which has left a piece, had other settings.
        StorageError: the remote root does not answer.
    """
    root = workspace_root()
    if is_in_s3(root):
        workspace = Workspace(Path(tempfile.mkdtemp(prefix="agent0-workspace-")), f"{root}/{key}")
        for name in transfer.entries(f"{workspace.remote}"):
            transfer.get(f"{workspace.remote}/{name}", workspace.folder / name)
    else:
        workspace = Workspace(Path(root) / key if root else beside.with_name(f"{beside.name}.workspace"))
    remembered = workspace.folder / SETTINGS_FILE
    if workspace.folder.is_dir() and {path.name for path in workspace.folder.iterdir()} == {SETTINGS_FILE}:
        remembered.unlink()  # an attempt that was refused, for its settings perhaps
    begun = begin_or_agree(
        remembered,
        settings,
        holds=f"{workspace.remote or workspace.folder} holds unfinished work of another configuration",
        otherwise="remove that folder to start this stage anew",
        unreadable="remove its folder to start this stage anew",
        may_change=may_change,
    )
    if begun:
        workspace.save(SETTINGS_FILE)
    return workspace


def clear_workspace(key: str) -> None:
    """Remove the workspaces under `key` at the configured root: their stages have finished for good."""
    if root := workspace_root():
        transfer.remove(f"{root}/{key}")
