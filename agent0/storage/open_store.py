"""Opening the store of a place for one transfer, and what an error of this machine's disk means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec

from agent0.errors import is_disk_full
from agent0.extras import installing
from agent0.storage.store import LocalStore, Store
from agent0.storage.transfer_settings import TransferSettings
from agent0.storage.transfer_threads import Crew
from agent0.storage.uri import Location, StorageError, parse


@contextmanager
def opened(uri: str, deadline_seconds: float | None = None) -> Iterator[tuple[Store, str, Crew]]:
    """Yield the store of `uri`, the key in it, and threads for one transfer.

    Args:
        uri: a place in the store.
        deadline_seconds: how long a request is tried again; the setting of all transfers if not given.

    Raises:
        StorageError: no such store, or this machine's disk is full or refuses.
    """
    settings = TransferSettings.from_environment()
    if deadline_seconds is not None:
        settings = replace(settings, deadline_seconds=deadline_seconds)
    location = parse(uri)
    crew = Crew(settings.workers)
    with disk_errors(uri), _store(location, settings, crew) as store:
        yield store, location.key, crew


@contextmanager
def disk_errors(uri: str) -> Iterator[None]:
    """Turn errors of the disk in the block, which copies `uri`, into sentences."""
    try:
        yield
    except OSError as error:
        name = error.filename or "the disk"
        if is_disk_full(error):
            raise StorageError(f"{name} is full, so {uri} was not copied; free space and start again.") from error
        raise StorageError(
            f"{name}: {error.strerror or error} (copying {uri}); correct that and start again."
        ) from error


def _store(location: Location, settings: TransferSettings, crew: Crew) -> AbstractContextManager[Store]:
    if location.bucket is None:
        return nullcontext(LocalStore())
    if find_spec("boto3") is None:
        raise StorageError(f"{location} needs boto3, which is not installed; {installing('s3')}")
    from agent0.storage.s3_store import s3_store

    return s3_store(location.bucket, settings, crew)
