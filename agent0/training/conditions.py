"""What each proposal is asked for: a topic of the domain, and questions of earlier iterations to go by.

In training every topic comes up as often as the others, so that what each earns can be compared; when tasks are
generated, topics may be drawn by that. Examples are questions at the executor's edge that are far from each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from agent0.config import ConditioningSettings
from agent0.domains import UNCONDITIONED
from agent0.rewards.diversity import far_apart
from agent0.seeds import derive_seed
from agent0.types import Condition, LabelledTask

TOPIC_REWARD = "topic_reward/"
"""Prefix of the metrics of curriculum training that hold what each topic earned."""
CANDIDATES = 8
"""Questions, for each example, among which those far from each other are looked for."""


class Conditions:
    """Draws conditions for proposals.

    Args:
        settings: say what is asked for.
        topics: of the domain.
        earlier: tasks that earlier iterations kept; where their topic is none of `topics`, for free questions only.
    """

    def __init__(
        self, settings: ConditioningSettings, topics: Sequence[str], earlier: Iterable[LabelledTask] = ()
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics) if settings.has_topics else ()
        self._questions: dict[str, list[str]] = {}
        for task in earlier if settings.examples else ():
            if task.vote.self_consistency <= settings.max_example_consistency:
                self._questions.setdefault(task.task.topic if self._topics else "", []).append(task.task.question)

    def evenly(self, count: int, seed: int) -> list[Condition]:
        """Return `count` conditions in which every topic comes up as often as the others, in a random order."""
        order = [
            topic
            for turn in range(-(-count // max(1, len(self._topics))))
            for topic in _shuffled(self._topics or ("",), derive_seed(seed, "topics", turn))
        ]
        return [self._with_examples(topic, derive_seed(seed, number)) for number, topic in enumerate(order[:count])]

    def numbered(self, numbers: Iterable[int], earned: Mapping[str, float], seed: int) -> list[Condition]:
        """Return the conditions of the proposals with these numbers, each its own whoever draws the others.

        Args:
            numbers: of proposals.
            earned: mean reward by topic; without any every topic is as likely as the others.
            seed: of all proposals.
        """
        weights = self._weights(earned)
        conditions = []
        for number in numbers:
            own = derive_seed(seed, "condition", number)
            topic = random.Random(own).choices(self._topics, weights)[0] if self._topics else ""
            conditions.append(self._with_examples(topic, own))
        return conditions

    def _weights(self, earned: Mapping[str, float]) -> list[float]:
        rewards = [max(0.0, earned.get(topic, 0.0)) for topic in self._topics]
        total = sum(rewards)
        if self._settings.topics == "even" or not total:
            return [1.0] * len(rewards)
        even = self._settings.exploration
        return [even / len(rewards) + (1 - even) * reward / total for reward in rewards]

    def _with_examples(self, topic: str, seed: int) -> Condition:
        known = self._questions.get(topic, [])
        if not topic and not known:
            return UNCONDITIONED
        count = min(self._settings.examples, len(known))
        among = random.Random(seed).sample(known, min(len(known), CANDIDATES * count))
        return Condition(topic=topic, examples=tuple(far_apart(among, count)))


def earnings(log: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean reward of each topic over the steps of a curriculum training that asked for it."""
    found: dict[str, list[float]] = {}
    for row in log:
        for name, value in row.items():
            if name.startswith(TOPIC_REWARD):
                found.setdefault(name.removeprefix(TOPIC_REWARD), []).append(value)
    return {topic: fmean(rewards) for topic, rewards in found.items()}


def _shuffled(topics: Sequence[str], seed: int) -> list[str]:
    return random.Random(seed).sample(topics, len(topics))
