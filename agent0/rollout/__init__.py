"""Multi-turn trajectories: one token-in, token-out engine over interchangeable backends."""

from agent0.rollout.backend_opening import FrozenModel
from agent0.rollout.batches import Batch
from agent0.rollout.engine import (
    Backend,
    Generation,
    Request,
    RolloutEngine,
    Throughput,
    TokenBudget,
)

__all__ = ["Backend", "Batch", "FrozenModel", "Generation", "Request", "RolloutEngine", "Throughput", "TokenBudget"]
