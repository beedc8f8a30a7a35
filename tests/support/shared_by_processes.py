"""What is made once for all processes of a test run, by the first that asks; the others wait for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

MakeShared = Callable[[str, Callable[[Path], None]], Path]


def make_shared(factory: pytest.TempPathFactory) -> MakeShared:
    """Return a function that gives the path of a name, calling its second argument with a path to make it if it is new.

    Nobody may change what lies there.
    """
    own = factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def shared(name: str, make: Callable[[Path], None]) -> Path:
        path, unfinished = folder / name, folder / f"unfinished-{name}"
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                make(unfinished)
                unfinished.rename(path)
        return path

    return shared
