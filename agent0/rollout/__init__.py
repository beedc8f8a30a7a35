"""Multi-turn trajectories: one token-in, token-out engine over interchangeable backends."""

from agent0.rollout.batches import Batch
from agent0.rollout.engine import (
    Backend,
    Generation,
    Request,
    RolloutEngine,
    Throughput,
    TokenBudget,
)
from agent0.rollout.opening import FrozenModel

__all__ = ["Backend", "Batch", "FrozenModel", "Generation", "Request", "RolloutEngine", "Throughput", "TokenBudget"]
