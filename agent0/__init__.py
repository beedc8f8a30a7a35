"""Agent0: a curriculum agent and an executor agent that evolve each other from one base model.

Importing this package loads neither torch nor kfp nor mlflow; each is imported by the room that needs it.
"""

from importlib.metadata import version

__version__ = version("agent0")

__all__ = ["__version__"]
