"""Agent0: a curriculum agent and an executor agent that evolve each other from one base model.

Importing this package loads neither torch nor kfp nor mlflow; each is imported by the room that needs it.
"""

from typing import Any

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    """Look up the version when it is asked for, which takes longer than the rest of the package."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("agent0")
