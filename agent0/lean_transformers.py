"""Importing this first spares a process the scikit-learn and scipy parts of transformers: 1.6 s of 8 on a CPU core.

transformers loads them where they are installed, for assisted generation and object detection; nothing here uses those,
and mlflow brings them along. Every pipeline task is a fresh process and pays for its imports anew. Both packages can be
imported as usual afterwards.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Let packages that are not imported yet seem not to be installed, for the length of the block."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


if "transformers" not in sys.modules:
    with hidden("sklearn", "scipy"):
        import transformers.generation.utils  # noqa: F401
