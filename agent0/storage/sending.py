"""Copying files and folders to a store: the half of `agent0.storage.transfer` that writes there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent0.storage.folder_files import files_under
from agent0.storage.manifest import MANIFEST, FileRecord, Manifest, file_sha256, is_manifest
from agent0.storage.store import Item, Store, read_manifest
from agent0.storage.transfer_threads import Crew, Meter, ProgressCallback
from agent0.storage.uri import StorageError, join


@dataclass(frozen=True)
class _Source:
    """A file to copy: what it holds, and when it was last written to."""

    path: Path
    record: FileRecord
    written_ns: int


def put_file(source: Path, store: Store, key: str, progress: ProgressCallback | None) -> None:
    """Copy a file to `key`; see `agent0.storage.transfer.put`."""
    if not key or store.find(join(key, MANIFEST)) is not None:
        raise StorageError(f"{store.name(key)} is a folder; give the file a name in it, or remove the folder.")
    meter = Meter(source.stat().st_size, progress)
    _send(_read_source(source, source.name), store, key, store.find(key), meter)


def put_folder(source: Path, store: Store, key: str, crew: Crew, progress: ProgressCallback | None) -> None:
    """Copy a folder to `key`, its manifest last; see `agent0.storage.transfer.put`."""
    names = _files_of(source)
    if key and store.find(key) is not None:
        raise StorageError(f"{store.name(key)} is a file; remove it, or name another place for the folder {source}.")
    earlier = read_manifest(store, key)
    there = store.listing(key)
    meter = Meter(sum((source / name).stat().st_size for name in names), progress)
    known: dict[str, _Source] = {}
    if earlier is not None:
        known = dict(zip(names, crew.run([partial(_read_source, source / n, n) for n in names]), strict=True))
        new = Manifest(tuple(sorted(item.record for item in known.values())))
        if new == earlier and all(_size(there, join(key, item.path)) == item.size for item in new.files):
            meter.add(new.size)
            return
        store.delete([join(key, MANIFEST)])

    def send(name: str) -> tuple[FileRecord, str]:
        item = known.get(name) or _read_source(source / name, name)
        place = join(key, name)
        found = store.find(place) if _size(there, place) == item.record.size else None
        return item.record, _send(item, store, place, found, meter)

    sent = crew.run([partial(send, name) for name in names])
    manifest = Manifest(tuple(sorted(record for record, _ in sent)))
    if earlier is not None:
        store.delete([join(key, record.path) for record in earlier.files if record.path not in set(names)])
    _refuse_other_writers(store, key, {join(key, record.path): (record, version) for record, version in sent})
    store.write(join(key, MANIFEST), manifest.to_bytes())


def _send(source: _Source, store: Store, key: str, found: Item | None, meter: Meter) -> str:
    """Copy a file unless it is there; return the version of what is there then."""
    record = source.record
    if found is not None and (found.size, found.sha256) == (record.size, record.sha256):
        meter.add(record.size)
        return found.version
    version = store.send(source.path, key, record, meter)
    status = source.path.stat()
    if (status.st_size, status.st_mtime_ns) != (record.size, source.written_ns):
        store.delete([key])
        raise StorageError(
            f"{source.path} changed while it was copied to {store.name(key)}; copy it once nothing writes to it."
        )
    return version


def _refuse_other_writers(store: Store, key: str, sent: Mapping[str, tuple[FileRecord, str]]) -> None:
    """Look once more, before the manifest says that all is there, whether it still is what was sent."""
    there = store.listing(key)
    for place, (record, version) in sent.items():
        if place in there and there[place].version == version:
            continue
        # A listing may lag behind on some servers; the object itself decides.
        found = store.find(place)
        if found is None or (found.size, found.sha256) != (record.size, record.sha256):
            raise StorageError(
                f"{store.name(place)} was changed by someone else while {store.name(key)} was written; see that only "
                "one process writes there, and start again."
            )


def _read_source(path: Path, name: str) -> _Source:
    status = path.stat()
    return _Source(path, FileRecord(name, status.st_size, file_sha256(path)), status.st_mtime_ns)


def _files_of(folder: Path) -> list[str]:
    """Return the relative paths of the files to copy."""
    names = sorted(path.relative_to(folder).as_posix() for path in files_under(folder))
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise StorageError(f"{folder} has a file whose name is not UTF-8 ({name!r}); rename it.") from error
    if MANIFEST in names:
        if not is_manifest(folder / MANIFEST):
            raise StorageError(f"{folder / MANIFEST} has the name that stored folders keep for theirs; rename it.")
        names.remove(MANIFEST)
    return names


def _size(there: Mapping[str, Item], key: str) -> int | None:
    item = there.get(key)
    return None if item is None else item.size
