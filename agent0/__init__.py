"""Agent0: a curriculum agent and an executor agent that evolve each other from one base model.

The names below are what a program may rely on; all else may change without a word. Importing this package loads neither
torch nor kfp nor mlflow: each name is looked up in its room when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent0.answers import equivalent as equivalent
    from agent0.answers import majority_vote as majority_vote
    from agent0.api import evaluate as evaluate
    from agent0.api import evolve as evolve
    from agent0.benchmarks.spec import Benchmark as Benchmark
    from agent0.config import Config as Config
    from agent0.config import load_config as load_config
    from agent0.domains import Domain as Domain
    from agent0.sandbox import Sandbox as Sandbox
    from agent0.sandbox import open_sandbox as open_sandbox
    from agent0.training.adpo import ADPOTrainer as ADPOTrainer

_ROOMS = {
    "ADPOTrainer": "agent0.training.adpo",
    "Benchmark": "agent0.benchmarks.spec",
    "Config": "agent0.config",
    "Domain": "agent0.domains",
    "Sandbox": "agent0.sandbox",
    "equivalent": "agent0.answers",
    "evaluate": "agent0.api",
    "evolve": "agent0.api",
    "load_config": "agent0.config",
    "majority_vote": "agent0.answers",
    "open_sandbox": "agent0.sandbox",
}
__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> Any:
    """Look a public name up when it is asked for."""
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("agent0")
