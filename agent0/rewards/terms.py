"""Further terms of the curriculum agent's reward, which packages give and `curriculum.reward.terms` weighs.

A package names its own in the group `agent0.rewards`. A term is a pure function of one task: it sees what the agents
did, never a model, and the same task always earns the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent0.errors import Agent0Error
from agent0.plugin_finder import ExtensionPoint
from agent0.rewards.composition import Floats
from agent0.types import Trajectory, Vote


@dataclass(frozen=True)
class ProposedTask:
    """A valid proposal, and what the frozen executor made of it.

    Attributes:
        question: as the executor was asked.
        proposal: how the curriculum agent came to it.
        trajectories: the executor's k answers.
        vote: on them.
    """

    question: str
    proposal: Trajectory
    trajectories: Sequence[Trajectory]
    vote: Vote


RewardTerm = Callable[[ProposedTask], float]
TERMS: ExtensionPoint[RewardTerm] = ExtensionPoint(
    "agent0.rewards", "reward term", Callable, "function of an agent0.rewards.ProposedTask"
)


class Terms:
    """The further terms of a configuration.

    Args:
        weights: of each term, by its name.

    Raises:
        UsageError: one cannot be found.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weighed = {name: (weight, TERMS.find(name)) for name, weight in weights.items()}

    def of(self, tasks: Sequence[ProposedTask | None]) -> dict[str, Floats]:
        """Return each term as it enters the sum, weight included, of shape (batch,); 0 where there is no valid task.

        Raises:
            Agent0Error: a term fails, or is no finite number.
        """
        return {
            name: np.array([weight * self._value(name, term, task) if task else 0.0 for task in tasks])
            for name, (weight, term) in self._weighed.items()
        }

    def _value(self, name: str, term: RewardTerm, task: ProposedTask) -> float:
        with TERMS.blamed(name):
            value = float(term(task))
        if not math.isfinite(value):
            raise Agent0Error(
                f"The reward term {name} is {value} for the question {task.question!r:.100}; let it be a finite number."
            )
        return value
