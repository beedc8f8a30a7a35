from __future__ import annotations

from collections import Counter

import pytest

from agent0.config import ConditioningSettings
from agent0.domains import UNCONDITIONED
from agent0.training.conditions import Conditions, earnings
from agent0.types import Condition, LabelledTask, Task, Vote

TOPICS = ("2", "3", "4", "5", "6")
EARNED = ConditioningSettings(topics="earned")


def kept(question: str, topic: str = "", count: int = 5) -> LabelledTask:
    return LabelledTask(
        task=Task(id=question, iteration=1, question=question, topic=topic),
        vote=Vote(answer="5", count=count, k=10, clusters=2),
        answers=("5",) * count,
        tool_calls=1.0,
        truncated=0.0,
    )


def topics(conditions: list[Condition]) -> Counter[str]:
    return Counter(condition.topic for condition in conditions)


def test_nothing_is_asked_for_by_default() -> None:
    conditions = Conditions(ConditioningSettings(), TOPICS, [kept("What is 2+3?")])
    assert conditions.evenly(3, 0) == [UNCONDITIONED] * 3
    assert conditions.numbered(range(3), {"2": 1.0}, 0) == [UNCONDITIONED] * 3


def test_in_training_every_topic_comes_up_as_often_as_the_others_in_an_order_of_chance() -> None:
    drawn = Conditions(EARNED, TOPICS).evenly(12, 0)
    assert set(topics(drawn[:5]).values()) == set(topics(drawn[5:10]).values()) == {1}
    assert len(drawn) == 12
    assert drawn[:5] != drawn[5:10]
    assert drawn != Conditions(EARNED, TOPICS).evenly(12, 1)


def test_topics_are_drawn_by_what_they_earned_and_a_share_of_them_evenly() -> None:
    drawn = topics(Conditions(EARNED, TOPICS).numbered(range(5000), {"5": 0.6, "6": 0.2, "2": -1.0}, 0))
    assert drawn["5"] / 5000 == pytest.approx(0.2 / 5 + 0.8 * 0.75, abs=0.03)
    assert drawn["6"] / 5000 == pytest.approx(0.2 / 5 + 0.8 * 0.25, abs=0.03)
    assert drawn["2"] / 5000 == pytest.approx(0.2 / 5, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "earned"),
    [(EARNED, {}), (EARNED, {"5": 0.0}), (ConditioningSettings(topics="even"), {"5": 0.6})],
)
def test_topics_that_earned_nothing_are_drawn_evenly(settings: ConditioningSettings, earned: dict[str, float]) -> None:
    drawn = topics(Conditions(settings, TOPICS).numbered(range(5000), earned, 0))
    assert all(abs(drawn[topic] / 5000 - 0.2) < 0.03 for topic in TOPICS)


def test_a_proposal_is_asked_for_the_same_whoever_draws_the_others() -> None:
    conditions = Conditions(EARNED, TOPICS)
    everything = conditions.numbered(range(20), {"2": 0.1, "6": 0.3}, 4)
    assert conditions.numbered(range(7, 20), {"2": 0.1, "6": 0.3}, 4) == everything[7:]


def test_examples_are_far_from_each_other_of_the_topic_and_not_too_easy() -> None:
    settings = ConditioningSettings(topics="even", examples=2)
    earlier = [
        kept("how many apples does the farmer sell", "a"),
        kept("how many apples does the farmer buy", "a"),
        kept("find the area of a circle", "a"),
        kept("what is one and one", "a", count=9),
        kept("who is the farmer", "b"),
    ]
    conditions = Conditions(settings, ("a", "b", "c"), earlier)
    shown = {condition.topic: condition.examples for condition in conditions.evenly(3, 0)}
    assert "find the area of a circle" in shown["a"]
    assert len(shown["a"]) == 2
    assert "what is one and one" not in shown["a"]
    assert (shown["b"], shown["c"]) == (("who is the farmer",), ())


def test_examples_need_no_topics() -> None:
    conditions = Conditions(ConditioningSettings(examples=3), TOPICS, [kept("a b c", "2"), kept("d e f", "3")])
    assert {*conditions.evenly(1, 0)[0].examples} == {"a b c", "d e f"}


def test_what_a_topic_earned_is_the_mean_over_the_steps_that_asked_for_it() -> None:
    log = [{"topic_reward/2": 0.2, "reward": 1.0}, {"topic_reward/2": 0.4, "topic_reward/3": 0.1}, {"loss": 0.0}]
    assert earnings(log) == pytest.approx({"2": 0.3, "3": 0.1})
