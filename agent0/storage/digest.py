"""Digests that say whether two folders hold the same data, and which code was at work."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from agent0 import __version__
from agent0.storage.folder_files import files_under
from agent0.storage.manifest import MANIFEST

CHUNK_BYTES = 1 << 20
STAGE_FILE = "stage.json"
MASTER_FILE = "master.json"
"""Where the weights lie that a model was rounded from, beside that model."""
LEFTOVER_FILE = "undelivered-tracking.jsonl"
"""What MLflow has not taken, beside a stage's output where no folder for buffers outlives the process."""
Wanted = Callable[[str], bool]
"""Says of a path relative to its folder whether the file counts."""
COMMIT_VARIABLE = "AGENT0_COMMIT"
"""Environment variable in which an image names the commit that it was built from."""


def folder_digest(folder: Path, wanted: Wanted | None = None) -> str:
    """Return the sha256 over the relative names and contents of all files in `folder`, in name order, links followed.

    Args:
        folder: a folder, or a single file.
        wanted: says of a file's relative path whether it counts; all do if not given.

    Raises:
        StorageError: a link leads nowhere.
    """
    files = [folder] if folder.is_file() else sorted(files_under(folder))
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix()
        if wanted is not None and not wanted(name):
            continue
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def model_digest(folder: Path) -> str:
    """Return the sha256 of a saved model: the same wherever it lies and whichever stage copied it there."""
    return folder_digest(folder, of_a_model)


def of_a_model(path: str) -> bool:
    """Leave out what lies beside a saved model and says how it was made or stored."""
    return path != MASTER_FILE and of_a_stage(path)


def of_a_stage(path: str) -> bool:
    """Leave out what a stage says of itself, which differs from one attempt to the next, and how it was stored."""
    return path not in (STAGE_FILE, LEFTOVER_FILE, MANIFEST)


@cache
def code_version() -> str:
    """Return the package version and a digest of its source, so that two runs of one version can be told apart.

    In an image of ours the commit that it was built from follows, such as `0.1.0+3f9a1c2b4d5e.g7061e01ae801`.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.toml"), *package.rglob("*.j2")]):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    commit = os.environ.get(COMMIT_VARIABLE, "")
    built = f".g{commit[:12]}" if re.match(r"[0-9a-f]{12}", commit) else ""
    return f"{__version__}+{digest.hexdigest()[:12]}{built}{'.dirty' if commit.endswith('-dirty') else ''}"
