import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.rewards import repetition_shares
from agent0.rewards.streaming import StreamingRepetition, streaming_repetition_shares


def families(count, copies, changes, seed=0):
    """Return (questions, family of each): variants of random questions, a few words changed in each."""
    rng = random.Random(seed)
    questions, labels = [], []
    for family in range(count):
        base = [f"w{rng.randrange(3000)}" for _ in range(40)]
        for _ in range(copies):
            variant = list(base)
            for position in rng.sample(range(40), changes):
                variant[position] = f"w{rng.randrange(3000)}"
            questions.append(" ".join(variant))
            labels.append(family)
    order = rng.sample(range(len(questions)), len(questions))
    return [questions[index] for index in order], [labels[index] for index in order]


def test_families_of_variants_get_the_shares_of_the_exact_method():
    questions, _ = families(30, 6, changes=2)
    assert streaming_repetition_shares(questions) == pytest.approx(repetition_shares(questions))


def test_shares_stay_near_the_exact_ones_when_the_variants_are_far_apart():
    questions, _ = families(40, 5, changes=4, seed=1)
    difference = np.abs(streaming_repetition_shares(questions) - repetition_shares(questions))
    assert difference.mean() < 0.25 * repetition_shares(questions).mean()


def test_memory_is_bounded_by_the_number_of_leaders():
    clusters = StreamingRepetition(max_clusters=50)
    for number in range(400):
        clusters.add(" ".join(f"{number}x{word}" for word in range(20)))
    assert len(clusters.cluster_sizes) == 400
    assert len(clusters._leaders) == 50
    assert len(clusters._buckets) <= 50 * 24


def test_a_cluster_that_keeps_growing_is_not_retired():
    clusters = StreamingRepetition(max_clusters=10)
    for number in range(200):
        clusters.add(" ".join(f"{number}x{word}" for word in range(20)))
        clusters.add("how many apples does the farmer sell on the market in a week of five days")
    assert max(clusters.cluster_sizes) == 200


def test_blank_questions_count_alone():
    assert streaming_repetition_shares(["", " ", "a b c"]).tolist() == pytest.approx([1 / 3] * 3)


def test_no_questions_have_no_shares():
    assert streaming_repetition_shares([]).shape == (0,)


@given(st.lists(st.text(alphabet="ab ", max_size=12), max_size=12))
def test_equal_questions_always_share_a_cluster(questions):
    clusters = StreamingRepetition()
    labels = [clusters.add(question) for question in questions]
    for question, label in zip(questions, labels, strict=True):
        if len(question.split()) >= 4:
            twins = {other for text, other in zip(questions, labels, strict=True) if text == question}
            assert twins == {label}
    assert sum(clusters.cluster_sizes) == len(questions)


def test_a_useless_setting_is_a_usage_error():
    with pytest.raises(UsageError, match="above 0"):
        StreamingRepetition(distance_threshold=0)
