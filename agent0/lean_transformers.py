"""Importing this first spares a process the scikit-learn and scipy parts of transformers: 1.6 s of 8 on a CPU core.

transformers loads them where they are installed, for assisted generation and object detection; nothing here uses those,
and mlflow brings them along. Every pipeline task is a fresh process and pays for its imports anew. Both packages can be
imported as usual afterwards.
"""

import sys

if "transformers" not in sys.modules:
    _hidden = [name for name in ("sklearn", "scipy") if name not in sys.modules]
    for _name in _hidden:
        sys.modules[_name] = None  # type: ignore[assignment]
    try:
        import transformers.generation.utils  # noqa: F401
    finally:
        for _name in _hidden:
            del sys.modules[_name]
