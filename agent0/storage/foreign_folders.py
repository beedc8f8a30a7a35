"""Folders that other tools stored: no manifest says what belongs to them, so the sha256 of the whole decides.

Kubeflow's launcher and MLflow upload artifacts as plain files. Whoever fetches one knows its digest from the registry.
What a broken attempt fetched waits in `.NAME.partial` for the next one; nothing appears before the digest is right.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent0.storage.atomic_folder import atomic_folder
from agent0.storage.digest import Wanted, folder_digest
from agent0.storage.manifest import is_inside
from agent0.storage.open_store import disk_errors, opened
from agent0.storage.store import Item, Store
from agent0.storage.transfer_threads import Crew, Meter, ProgressCallback
from agent0.storage.uri import NotThereError, StorageError, join


def get_plain(
    uri: str,
    target: Path,
    sha256: str,
    wanted: Wanted,
    progress: ProgressCallback | None = None,
    *,
    replace: bool = False,
) -> None:
    """Copy the folder at `uri`, a local path or `s3://`, to `target`, which appears once its digest is right.

    Args:
        uri: files that any tool stored there.
        target: a new or an empty folder, or one that holds the same files already.
        sha256: `folder_digest` of the files that count.
        wanted: says which files count and are copied.
        progress: called with the bytes done and the bytes in all, from any thread.
        replace: other files in `target` make way instead of being refused.

    Raises:
        StorageError: nothing is there, it is not what it was, or the store refuses or does not answer.
    """

    def fill(folder: Path) -> None:
        with opened(uri) as (store, key, crew):
            found = {name: item for name, item in _files(store, key).items() if wanted(name)}
            if not found:
                raise nothing_at(uri)
            _fetch(store, key, found, folder, crew, Meter(sum(item.size for item in found.values()), progress))

    land(target, sha256, uri, fill, wanted, replace=replace)


def holds_files(uri: str) -> bool:
    """Say whether any file lies under `uri`.

    Raises:
        StorageError: the store refuses or does not answer.
    """
    with opened(uri) as (store, key, _):
        return bool(_files(store, key))


def size_of(uri: str, wanted: Wanted) -> int:
    """Return the bytes of the files under `uri` that count.

    Raises:
        StorageError: none lies there, or the store refuses or does not answer.
    """
    with opened(uri) as (store, key, _):
        sizes = [item.size for name, item in _files(store, key).items() if wanted(name)]
    if not sizes:
        raise nothing_at(uri)
    return sum(sizes)


def land(
    target: Path, sha256: str, where: str, fill: Callable[[Path], None], wanted: Wanted, *, replace: bool = False
) -> None:
    """Let `fill` write a folder beside `target` and move it there once its digest is right, alone among processes.

    Args:
        target: a new or an empty folder, or one that has the digest already, which is left as it is.
        sha256: `folder_digest` that it must have.
        where: what it comes from, for errors.
        fill: writes into the folder it is given, which may hold what an earlier attempt wrote.
        wanted: says which files count.
        replace: other files in `target` make way instead of being refused.

    Raises:
        StorageError: the digest is another one, or `target` holds other files.
    """
    with disk_errors(where), atomic_folder(target) as folder:
        if target.is_dir() and folder_digest(target, wanted) == sha256:
            shutil.rmtree(folder)
            return
        if not replace and not _is_free(target):
            raise StorageError(f"{target} holds other files than {where}; name an empty or a new folder.")
        _fill(folder, sha256, where, fill, wanted)


def not_as_registered(where: str, found: str, sha256: str) -> StorageError:
    """Return the error of a folder that has another digest than it should."""
    return StorageError(
        f"{where} is not what was registered: its files have the sha256 {found[:12]}… instead of {sha256[:12]}…. It "
        "was changed or damaged since, or is not whole; do not use it as it is."
    )


def nothing_at(uri: str) -> NotThereError:
    """Return the error of a place that holds nothing."""
    return NotThereError(f"There is nothing at {uri}; it was removed, or never arrived there.")


def _fill(folder: Path, sha256: str, where: str, fill: Callable[[Path], None], wanted: Wanted) -> None:
    resumed = next(folder.iterdir(), None) is not None
    while True:
        fill(folder)
        found = folder_digest(folder, wanted)
        if found == sha256:
            return
        shutil.rmtree(folder)
        if not resumed:
            raise not_as_registered(where, found, sha256)
        resumed = False  # a file that an earlier attempt left may have been the wrong one
        folder.mkdir()


def _is_free(target: Path) -> bool:
    return not target.exists() or (target.is_dir() and next(target.iterdir(), None) is None)


def _files(store: Store, key: str) -> dict[str, Item]:
    """Return what lies under `key` by relative path, without the empty objects that stand for folders."""
    start = len(key.rstrip("/")) + 1 if key else 0
    found = {place[start:]: item for place, item in store.listing(key).items() if not place.endswith("/")}
    for name in found:
        if not is_inside(name):
            raise StorageError(f"{store.name(key)} has the file {name!r}, which lies outside it; do not use it.")
    return found


def _fetch(store: Store, key: str, found: dict[str, Item], folder: Path, crew: Crew, meter: Meter) -> None:
    def fetch(name: str, item: Item) -> None:
        place = folder / name
        if place.is_file() and place.stat().st_size == item.size:
            meter.add(item.size)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        store.fetch(join(key, name), place, meter)

    crew.run([partial(fetch, name, item) for name, item in sorted(found.items())])
