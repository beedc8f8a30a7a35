"""What is made once, by the first process that asks, for all test runs of a checkout; the others wait for it.

It lies in `.pytest_cache` until the code or what is installed is another.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from agent0.storage.digest import code_version

MakeShared = Callable[[str, Callable[[Path], None]], Path]


def make_shared(root: Path) -> MakeShared:
    """Return a function that gives the path of a name, calling its second argument with a path to make it if it is new.

    Nobody may change what lies there. `root` is the checkout.
    """
    pinned = (root / "constraints.txt").read_bytes()
    folder = root / ".pytest_cache" / "made" / hashlib.sha256(code_version().encode() + pinned).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)

    def shared(name: str, make: Callable[[Path], None]) -> Path:
        path, unfinished = folder / name, folder / f"unfinished-{name}"
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _remove(unfinished)  # of a run that was ended
                make(unfinished)
                unfinished.rename(path)
        return path

    return shared


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
