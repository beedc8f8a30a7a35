"""Work in shards: which ones a pod does, and where a finished one waits until the stage has ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent0.errors import UsageError
from agent0.storage.shards import check_shard, copy_shard, shard_name
from agent0.storage.workspace import Workspace
from agent0.types import Record


@dataclass(frozen=True)
class Share:
    """What one of `pods` pods does that work side by side: every `pods`-th shard, from shard `pod` on.

    Raises:
        UsageError: there is no such pod.
    """

    pod: int = 0
    pods: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.pod < self.pods:
            raise UsageError(f"There is no pod {self.pod} of {self.pods}; pods are counted from 0.")

    @property
    def is_everything(self) -> bool:
        """Whether no other pod takes part."""
        return self.pods == 1

    @property
    def part(self) -> str:
        """Name of the pod's own workspace inside the stage's."""
        return "" if self.is_everything else f"pod-{self.pod}-of-{self.pods}"

    def shards(self, total: int, size: int) -> dict[int, range]:
        """Return the rows of each of the pod's shards by shard number, out of `total` rows in shards of `size`."""
        numbers = range(self.pod, -(-total // size), self.pods)
        return {number: range(number * size, min(total, (number + 1) * size)) for number in numbers}


ALONE = Share()


def piece(name: str, shard: int) -> str:
    """Return the name of a shard among the pieces of a workspace."""
    return f"{name}-{shard_name(shard)}"


def unfinished(workspace: Workspace, name: str, kind: type[Record], shards: dict[int, range]) -> dict[int, range]:
    """Return the shards of which the workspace has no piece `name` yet.

    Raises:
        Agent0Error: a piece is damaged, or of another version.
    """
    missing = {}
    for number, rows in shards.items():
        path = workspace.folder / piece(name, number)
        if path.is_file():
            check_shard(path, kind)
        else:
            missing[number] = rows
    return missing


def deliver(workspace: Workspace, name: str, folder: Path, shard: int) -> None:
    """Copy a piece to its place among the shards of `folder`; it stays in the workspace until the run has ended."""
    copy_shard(workspace.folder / name, folder, shard_name(shard))
