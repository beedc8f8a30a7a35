import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.rewards import repetition_shares
from agent0.rewards.diversity import (
    archive_likeness,
    cluster_entropy,
    distinct_n,
    diversity_metrics,
    far_apart,
    novelty,
)

QUESTIONS = st.lists(st.text(alphabet="abc ", max_size=10), max_size=8)


def test_distinct_n_counts_different_n_grams():
    assert distinct_n(["a b a b", "a b"], 1) == pytest.approx(2 / 6)
    assert distinct_n(["a b a b", "a b"], 2) == pytest.approx(2 / 4)
    assert distinct_n(["a b"], 3) == 0.0


def test_an_order_below_one_is_a_usage_error():
    with pytest.raises(UsageError):
        distinct_n(["a"], 0)


def test_cluster_entropy_is_one_for_singletons_and_zero_for_one_cluster():
    assert cluster_entropy(np.full(8, 1 / 8)) == pytest.approx(1.0)
    assert cluster_entropy(np.ones(8)) == 0.0
    assert cluster_entropy([1.0]) == 0.0
    assert cluster_entropy([0.5] * 4) == pytest.approx(0.5)


def test_novelty_is_low_for_what_was_asked_before():
    earlier = ["how many apples does the farmer sell", "what is the area of the circle"]
    values = novelty(["how many apples does the farmer sell", "how many apples does the farmer buy", "x"], earlier)
    assert values[0] == pytest.approx(0.0)
    assert 0 < values[1] < 0.5
    assert values[2] == 1.0


def test_novelty_equals_nltk():
    bleu = pytest.importorskip("nltk.translate.bleu_score", reason="the reference needs nltk")
    smoothing = bleu.SmoothingFunction().method1
    new, old = ["a b c d e f", "b c d e a a"], ["a b c d x y", "c d e a b b b", "q"]
    expected = [
        1 - max(bleu.sentence_bleu([o.split()], n.split(), smoothing_function=smoothing) for o in old) for n in new
    ]
    assert novelty(new, old) == pytest.approx(expected, abs=1e-12)


def test_without_earlier_questions_everything_is_new():
    assert novelty(["a", "b"], []).tolist() == [1.0, 1.0]


@given(QUESTIONS, QUESTIONS)
def test_all_measures_lie_between_zero_and_one(questions, earlier):
    metrics = diversity_metrics(questions, earlier)
    assert bool(metrics) == bool(questions)
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in metrics.values()), metrics


def test_a_collapsed_batch_scores_below_a_varied_one():
    same = ["how many apples does the farmer sell in a week"] * 20
    varied = [" ".join(f"{number}x{word}" for word in range(10)) for number in range(20)]
    collapsed, healthy = diversity_metrics(same), diversity_metrics(varied)
    assert all(collapsed[name] < healthy[name] for name in healthy)
    assert cluster_entropy(repetition_shares(varied)) == pytest.approx(1.0)


def test_what_is_asked_again_is_wholly_like_the_archive_and_what_is_far_from_it_not_at_all():
    archive = ["how many apples does the farmer sell", "what is the area of the circle"]
    asked = ["how many apples does the farmer sell", "how many apples does the farmer buy", "x y z"]
    again, like, new = archive_likeness(asked, archive, 0.5)
    assert (again, new) == (1.0, 0.0)
    assert 0 < like < 1
    assert like == pytest.approx(1 - novelty(asked, archive)[1] / 0.5)
    assert archive_likeness(asked, []).tolist() == [0.0] * 3


def test_those_far_apart_begin_with_the_first_and_leave_out_its_likes():
    questions = ["how many apples does he sell", "how many apples does he buy", "find the area", "how many apples now"]
    assert far_apart(questions, 2) == ["how many apples does he sell", "find the area"]
    assert sorted(far_apart(questions, 9)) == sorted(questions)
    assert far_apart(questions, 0) == far_apart([], 2) == []


def test_a_question_that_is_there_twice_is_shown_twice_only_where_nothing_else_is_left():
    assert far_apart(["a b c", "a b c", "d e f"], 2) == ["a b c", "d e f"]
