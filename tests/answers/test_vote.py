import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.answers import Grader, majority_vote
from agent0.answers.vote import vote
from agent0.errors import UsageError


def outcome(answers):
    result = majority_vote(answers)
    return result.answer, result.count, result.k, result.clusters


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["1,000", "1000", "2"], ("1,000", 2, 3, 2)),
        (["1", "2", "2", "1"], ("1", 2, 4, 2)),
        ([None, None, None, "7"], ("7", 1, 4, 1)),
        ([None, "", "  "], (None, 0, 3, 0)),
        (["None", None, None], ("None", 1, 3, 1)),
        (["0.5", r"\frac{1}{2}", "1/2", "2"], ("0.5", 3, 4, 2)),
        (["5", "x=5", "x = 5", "6"], ("5", 3, 4, 2)),
        (["A", "(a)", "B"], ("A", 2, 3, 2)),
    ],
)
def test_the_largest_cluster_wins_and_ties_go_to_the_earliest(answers, expected):
    assert outcome(answers) == expected


def test_expressions_are_merged_by_meaning_in_either_direction():
    with Grader(workers=2) as grader:
        result = vote(["x+1", "2", "1+x", "(0,1)", "0<y<1", None], grader)
        assert (result.answer, result.count, result.k) == ("x+1", 2, 6)
        assert vote(["(0,1)", "0<y<1"], grader).count == 2  # equal only with the inequality as gold


@pytest.mark.parametrize(
    ("answers", "count", "clusters"),
    [
        (["50%", "0.5", "50"], 2, 2),  # 50% is both, which are not the same
        (["2516_8", "2516_9", "2516"], 2, 2),
        (["1.5e8", r"1.5\times10^8", "150000000"], 3, 1),
        (["5", r"\neq 5", r"\geq 5", "5.0"], 2, 3),
        (["0.0000001", "0.0000002", "0.0000003"], 1, 3),
        ([r"\{1,2\}", "(1,2)", "1,2"], 2, 2),
    ],
)
def test_what_is_equal_to_two_different_answers_joins_one_of_them_in_any_order(answers, count, clusters):
    with Grader(workers=1, seconds=20) as grader:
        results = [vote(list(order), grader) for order in itertools.permutations(answers)]
    assert {(result.count, result.clusters) for result in results} == {(count, clusters)}


def test_missing_answers_stay_in_the_denominator():
    assert majority_vote(["3", "3", None, None]).self_consistency == 0.5


def test_an_empty_vote_is_a_usage_error():
    with pytest.raises(UsageError, match="at least one sample"):
        majority_vote([])


ANSWERS = st.lists(
    st.sampled_from([None, "", "1", "1.0", "2", "1/2", "0.5", "50%", "50", "A", "north"]), min_size=1, max_size=12
)


@given(ANSWERS)
def test_a_vote_is_deterministic_and_its_counts_are_consistent(answers):
    result = majority_vote(answers)
    present = [answer for answer in answers if answer]
    assert result == majority_vote(answers)
    assert result.k == len(answers)
    assert result.clusters <= len(present)
    assert (result.answer is None) == (not present)
    assert result.answer in (*present, None)
    assert bool(present) <= result.count <= len(present)


@given(ANSWERS, st.randoms())
def test_the_order_of_samples_changes_neither_sizes_nor_shares(answers, random):
    shuffled = random.sample(answers, len(answers))
    first, second = majority_vote(answers), majority_vote(shuffled)
    assert (first.count, first.clusters, first.k) == (second.count, second.clusters, second.k)
