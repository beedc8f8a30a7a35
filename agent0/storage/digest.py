"""Digests that say whether two folders hold the same data, and which code was at work."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache
from pathlib import Path

from agent0 import __version__
from agent0.storage.manifest import MANIFEST

CHUNK_BYTES = 1 << 20
STAGE_FILE = "stage.json"
NOT_OF_A_MODEL = (STAGE_FILE, MANIFEST)
"""Files beside a model that say how it was made or stored; they are no part of it and of its digest."""


def folder_digest(folder: Path, ignore: Collection[str] = ()) -> str:
    """Return the sha256 over the relative names and contents of all files in `folder`, in name order.

    Args:
        folder: a folder, or a single file.
        ignore: file names left out.
    """
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        if path.name in ignore:
            continue
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def model_digest(folder: Path) -> str:
    """Return the sha256 of a saved model: the same wherever it lies and whichever stage copied it there."""
    return folder_digest(folder, NOT_OF_A_MODEL)


@cache
def code_version() -> str:
    """Return the package version and a digest of its source, so that two runs of one version can be told apart."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.toml"), *package.rglob("*.j2")]):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:12]}"
