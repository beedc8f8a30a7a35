"""transformers, without its scikit-learn and scipy parts, which cost 3 s of 12 on a CPU core where nothing has it yet.

It loads them where they are installed, for assisted generation and object detection; nothing here uses those,
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


with hidden(*(() if "transformers" in sys.modules else ("sklearn", "scipy"))):
    import transformers.generation.utils

__all__ = ["hidden", "transformers"]
