"""Copying files and folders between this machine and a store, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent0.errors import Agent0Error


class StorageError(Agent0Error):
    """A store did not give or take what it should."""


def put(source: Path, uri: str) -> None:
    """Copy a file or a folder to `uri`; a folder's manifest is written last, so a folder without one is not there."""
    raise StorageError(f"No store is known for {uri} ({source} was not copied).")


def get(uri: str, target: Path) -> None:
    """Copy the file or the whole folder at `uri` to `target`, checking every byte.

    Raises:
        StorageError: there is none, it is not whole, or it was changed.
    """
    raise StorageError(f"No store is known for {uri} ({target} was not written).")


def entries(uri: str) -> list[str]:
    """Return the names of the files and of the whole folders directly under `uri`, sorted."""
    raise StorageError(f"No store is known for {uri}.")


def remove(uri: str) -> None:
    """Remove a file or folder; nothing there is no error."""
    if uri.startswith("s3://"):
        raise StorageError(f"No store is known for {uri}.")
    shutil.rmtree(uri, ignore_errors=True)
