"""Copying files and folders between this machine and a store, whole or not at all.

A place is a local path or `s3://bucket/key`; both behave alike. A stored folder has a manifest, written last; without
one it does not exist. Transfers go on where an earlier one broke off: what is there already and right is not copied
again. Nothing is unpickled, ever. Copies from one store to another are not made here.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from agent0.storage.atomic_file import atomic_path
from agent0.storage.atomic_folder import atomic_folder
from agent0.storage.manifest import MANIFEST, FileRecord, Manifest, file_sha256
from agent0.storage.open_store import opened
from agent0.storage.sending import put_file, put_folder
from agent0.storage.store import Item, Store, read_manifest
from agent0.storage.transfer_threads import Crew, Meter, ProgressCallback
from agent0.storage.uri import NotThereError, NotWholeError, StorageError, join


def put(source: Path, uri: str, progress: ProgressCallback | None = None) -> None:
    """Copy a file or a folder to `uri`; a folder's manifest is written last, so a folder without one is not there.

    Args:
        source: a file, or a folder; links are followed, empty folders are left out.
        uri: where it shall be; the files of an older folder there that the new one lacks are removed.
        progress: called with the bytes done and the bytes in all, from any thread.

    Raises:
        StorageError: the source is not there or changes, a link in it leads nowhere, or the store refuses or does not
            answer.
    """
    with opened(uri) as (store, key, crew):
        if source.is_dir():
            put_folder(source, store, key, crew, progress)
        elif source.is_file():
            put_file(source, store, key, progress)
        else:
            raise StorageError(f"{source} is neither a file nor a folder; nothing was copied to {uri}.")


def get(uri: str, target: Path, progress: ProgressCallback | None = None) -> None:
    """Copy the file or the whole folder at `uri` to `target`, checking every byte.

    Args:
        uri: a file or a folder.
        target: where it shall be; appears whole. A folder that is there may hold files of the same folder only.
        progress: called with the bytes done and the bytes in all, from any thread.

    Raises:
        StorageError: there is none, it is not whole, or it was changed.
    """
    with opened(uri) as (store, key, crew):
        manifest = read_manifest(store, key)
        if manifest is not None:
            _get_folder(store, key, manifest, target.absolute(), crew, progress)
        elif key and (item := store.find(key)) is not None:
            _get_file(store, key, item, target.absolute(), progress)
        else:
            raise _nothing_whole(store, key, uri)


def manifest_of(uri: str, deadline_seconds: float | None = None) -> Manifest:
    """Return the manifest of the whole folder at `uri`.

    Args:
        uri: a folder.
        deadline_seconds: how long a request is tried again; the setting of all transfers if not given.

    Raises:
        NotThereError: there is nothing.
        NotWholeError: files are there without a manifest.
        StorageError: the store refuses or does not answer.
    """
    with opened(uri, deadline_seconds) as (store, key, _):
        manifest = read_manifest(store, key)
        if manifest is None:
            raise _nothing_whole(store, key, uri)
        return manifest


def entries(uri: str) -> list[str]:
    """Return the names of the files and of the whole folders directly under `uri`, sorted.

    A stored folder's entries are those of its manifest; a place where nothing is has none.

    Raises:
        StorageError: the bucket is not there, or the store refuses or does not answer.
    """
    with opened(uri) as (store, key, crew):
        manifest = read_manifest(store, key)
        if manifest is not None:
            return sorted({record.path.split("/")[0] for record in manifest.files})
        files, folders = store.children(key)
        whole = crew.run([partial(store.find, join(join(key, name), MANIFEST)) for name in folders])
        return sorted({*files, *(name for name, item in zip(folders, whole, strict=True) if item is not None)})


def remove(uri: str) -> None:
    """Remove a file or folder and everything under it; nothing there is no error.

    Raises:
        StorageError: `uri` is a whole bucket or disk, or the store refuses or does not answer.
    """
    with opened(uri) as (store, key, _):
        if not key or Path(key) == Path("/"):
            raise StorageError(f"{uri} is a whole store; name what to remove in it.")
        store.delete([join(key, MANIFEST)])
        store.delete([key, *store.listing(key)])  # first the folder, so that no link in it is followed


def _get_folder(
    store: Store, key: str, manifest: Manifest, target: Path, crew: Crew, progress: ProgressCallback | None
) -> None:
    meter = Meter(manifest.size, progress)
    with atomic_folder(target) as folder:
        _refuse_strangers(target, manifest)
        for path in _strangers(folder, manifest):  # an earlier attempt may have been for a folder of other files
            (folder / path).unlink()

        def fetch(record: FileRecord) -> None:
            place, where = folder / record.path, join(key, record.path)
            if _is(place, record):
                meter.add(record.size)
                return
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)  # it may be a file of `target`
            if _is(target / record.path, record):
                os.link(target / record.path, place)
                meter.add(record.size)
                return
            try:
                store.fetch(where, place, meter)
            except NotThereError as error:
                raise StorageError(
                    f"{store.name(where)} is in the manifest of {store.name(key)} but is gone; copy the folder there "
                    "again from its source."
                ) from error
            _check(place, record, str(store.name(where)))

        crew.run([partial(fetch, record) for record in manifest.files])


def _refuse_strangers(target: Path, manifest: Manifest) -> None:
    if target.exists() and not target.is_dir():
        raise StorageError(f"{target} is a file, and a folder is to be copied there; name another place.")
    strangers = _strangers(target, manifest)
    if strangers:
        raise StorageError(
            f"{target} holds files that are not of the folder to be copied there ({', '.join(strangers[:3])}"
            f"{', …' if len(strangers) > 3 else ''}); name an empty or a new folder."
        )


def _strangers(folder: Path, manifest: Manifest) -> list[str]:
    wanted = {record.path for record in manifest.files}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return sorted(found - wanted)


def _is(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.size and file_sha256(path) == record.sha256


def _check(path: Path, record: FileRecord, where: str) -> None:
    """Compare a fetched file with what it should be.

    Raises:
        StorageError: its size or its content differ.
    """
    size, sha256 = path.stat().st_size, file_sha256(path)
    if (size, sha256) != (record.size, record.sha256):
        raise StorageError(
            f"{where} is not what was stored there: {size:,} bytes with sha256 {sha256[:12]}… instead of "
            f"{record.size:,} with {record.sha256[:12]}…. It was changed or damaged since; copy it there again from "
            "its source, and do not use it as it is."
        )


def _get_file(store: Store, key: str, item: Item, target: Path, progress: ProgressCallback | None) -> None:
    if item.sha256 is None:
        raise StorageError(
            f"{store.name(key)} carries no sha256, so nothing can tell whether it is whole; store it with `agent0`'s "
            "own transfer."
        )
    if target.is_dir():
        raise StorageError(f"{target} is a folder, and a file is to be copied there; name a file.")
    record = FileRecord(target.name, item.size, item.sha256)
    meter = Meter(item.size, progress)
    if _is(target, record):
        meter.add(item.size)
        return
    with atomic_path(target) as temporary:
        store.fetch(key, temporary, meter)
        _check(temporary, record, str(store.name(key)))


def _nothing_whole(store: Store, key: str, uri: str) -> StorageError:
    if leftover := store.listing(key):
        return NotWholeError(
            f"{uri} is not whole: {len(leftover)} files lie there without a {MANIFEST}, so copying it there never "
            "finished; finish that first, or name another place."
        )
    return NotThereError(f"There is nothing at {uri}; see that the name is right and that it was stored.")
