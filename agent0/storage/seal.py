"""The seal of a finished folder: its manifest, by which whoever reads it later sees that it still is what was written.

A stage seals its output when it ends, and the stages that read it check it; so does a cache that many runs share. To
check costs what the folder's digest costs, which a stage notes of its inputs in any case: only where that is another
one is each file looked at. A folder that no stage wrote has no seal and is taken as it is.
"""

from __future__ import annotations

from pathlib import Path

from agent0.storage.atomic_file import atomic_path
from agent0.storage.digest import LEFTOVER_FILE, STAGE_FILE, folder_digest, of_a_stage
from agent0.storage.folder_files import files_under
from agent0.storage.manifest import MANIFEST, Manifest, record_of
from agent0.storage.uri import StorageError


class DamagedError(StorageError):
    """A finished folder is no longer what was written there.

    Attributes:
        found: which file of it, and how.
    """

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found} since its task finished; put back what was there, or run that task again (`agent0 evolve "
            "--resume` does so by itself)."
        )
        self.found = found


def seal(folder: Path, digest: str = "") -> None:
    """Write the manifest of a folder that is finished.

    Args:
        folder: nothing in it changes from now on, but for what MLflow has not taken yet.
        digest: its `folder_digest` of what counts for a stage, where that is known.

    Raises:
        StorageError: a link leads nowhere.
    """
    names = _names(folder)
    files = tuple(record_of(folder / name, name) for name in names)
    manifest = Manifest(files, digest or folder_digest(folder, of_a_stage))
    with atomic_path(folder / MANIFEST) as temporary:
        temporary.write_bytes(manifest.to_bytes())


def intact_digest(folder: Path) -> str:
    """Return the digest of what counts of a stage's input, having seen that it is as it was sealed.

    Raises:
        DamagedError: a file of it was changed, added or removed since, or its seal was.
        StorageError: a link leads nowhere.
    """
    found = folder_digest(folder, of_a_stage)
    manifest = sealed(folder)
    if manifest is None:
        if (folder / STAGE_FILE).is_file():
            raise DamagedError(f"{folder / MANIFEST} is gone")
        return found
    noted = [record for record in manifest.files if record.path == STAGE_FILE]
    note = folder / STAGE_FILE
    if found != manifest.digest or noted != ([record_of(note, STAGE_FILE)] if note.is_file() else []):
        raise DamagedError(_difference(folder, manifest))
    return found


def sealed(folder: Path) -> Manifest | None:
    """Return what a folder's seal says that it holds; None if it has no seal.

    Raises:
        DamagedError: the seal cannot be read.
    """
    note = folder / MANIFEST
    if not note.is_file():
        return None
    try:
        return Manifest.from_bytes(note.read_bytes(), str(note))
    except StorageError as error:
        raise DamagedError(f"{note} cannot be read") from error


def is_intact(folder: Path) -> bool:
    """Say whether a folder is sealed, and as it was then."""
    try:
        intact_digest(folder)
        return sealed(folder) is not None
    except StorageError:
        return False


def _difference(folder: Path, manifest: Manifest) -> str:
    """Say in words which file differs from the seal."""
    wanted = {record.path: record for record in manifest.files}
    for name in sorted({*wanted, *_names(folder)}):
        if name not in wanted:
            return f"{folder / name} was added"
        if not (folder / name).is_file():
            return f"{folder / name} is gone"
        if record_of(folder / name, name) != wanted[name]:
            return f"{folder / name} was changed or damaged"
    return f"{folder / MANIFEST} was changed or damaged"


def _names(folder: Path) -> list[str]:
    """Return the relative paths of the files that a seal covers, sorted."""
    names = (path.relative_to(folder).as_posix() for path in files_under(folder))
    return sorted(name for name in names if name not in (MANIFEST, LEFTOVER_FILE))
