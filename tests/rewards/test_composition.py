import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.config import RewardSettings
from agent0.errors import UsageError
from agent0.rewards import curriculum_reward, tool_use, uncertainty

PAPER = RewardSettings()
OFFICIAL = RewardSettings(composition="official-code")
SHARE = st.floats(0, 1)
CALLS = st.floats(0, 50)


def test_uncertainty_peaks_at_one_half():
    assert uncertainty([0.0, 0.3, 0.5, 0.8, 1.0]).tolist() == pytest.approx([0, 0.6, 1, 0.4, 0])


def test_tool_use_grows_per_call_up_to_the_cap():
    assert tool_use([0, 1.5, 4, 9], 0.05, 4).tolist() == pytest.approx([0, 0.075, 0.2, 0.2])


def test_the_papers_composition_gates_weighs_and_floors():
    reward = curriculum_reward(
        [True, True, True, False], [0.5, 1.0, 0.6, 0.5], [2, 0, 9, 4], [0.25, 0.5, 0.25, 0.25], PAPER
    )
    assert reward.total.tolist() == pytest.approx([1 + 0.6 * 0.1 - 0.25, 0, 0.8 + 0.6 * 0.2 - 0.25, 0])
    assert reward.format.tolist() == [1, 1, 1, 0]
    assert reward.means()["total"] == pytest.approx(reward.total.mean())


def test_the_official_codes_composition_is_its_own_sum():
    reward = curriculum_reward([True, True, False], [0.5, 0.9, float("nan")], [2, 9, 4], [0.25, 0.5, 0.25], OFFICIAL)
    assert reward.total.tolist() == pytest.approx([0.5 - 0.25 + 0.1, 0.1 - 0.5 + 0.2, -1 - 0.25 + 0.2])


def test_the_terms_add_up_to_the_total_before_the_floor():
    reward = curriculum_reward([True] * 2, [0.4, 0.5], [1, 3], [0.1, 0.2], PAPER)
    assert (reward.uncertainty + reward.tool_use - reward.repetition).tolist() == pytest.approx(reward.total.tolist())


def test_weights_act_on_their_terms():
    settings = RewardSettings(uncertainty_weight=2, tool_weight=0, repetition_weight=3)
    reward = curriculum_reward([True], [0.5], [4], [0.5], settings)
    assert reward.total.tolist() == pytest.approx([2 - 1.5])


@given(st.lists(st.tuples(st.booleans(), SHARE, CALLS, SHARE), min_size=1, max_size=20))
def test_rewards_are_finite_bounded_and_zero_for_what_is_invalid(rows):
    valid, consistency, calls, shares = zip(*rows, strict=True)
    reward = curriculum_reward(valid, consistency, calls, shares, PAPER)
    assert np.all(np.isfinite(reward.total))
    assert np.all((reward.total >= 0) & (reward.total <= 1 + 0.6 * 0.2 + 1e-9))
    assert np.all(reward.total[~np.array(valid)] == 0)


@given(SHARE, CALLS, SHARE)
def test_a_batch_gives_each_task_what_it_gets_alone(consistency, calls, share):
    alone = curriculum_reward([True], [consistency], [calls], [share], PAPER).total[0]
    among = curriculum_reward([False, True], [0.5, consistency], [1, calls], [0.5, share], PAPER).total[1]
    assert alone == among


def test_an_invalid_proposal_needs_no_numbers():
    assert curriculum_reward([False], [float("nan")], [float("nan")], [1.0], PAPER).total.tolist() == [0]


def test_an_empty_batch_has_empty_rewards_and_no_means():
    reward = curriculum_reward([], [], [], [], PAPER)
    assert reward.total.shape == (0,)
    assert reward.means() == {}


@pytest.mark.parametrize(
    ("valid", "consistency", "calls", "shares"),
    [
        ([True], [float("nan")], [1], [0.5]),
        ([True], [1.2], [1], [0.5]),
        ([True], [0.5], [-1], [0.5]),
        ([True], [0.5], [float("inf")], [0.5]),
        ([True], [0.5], [1], [1.5]),
        ([True, True], [0.5], [1], [0.5]),
    ],
)
def test_numbers_out_of_range_are_usage_errors(valid, consistency, calls, shares):
    with pytest.raises(UsageError):
        curriculum_reward(valid, consistency, calls, shares, PAPER)


def test_likeness_to_earlier_questions_costs_its_weight_and_nothing_by_default():
    settings = RewardSettings(archive_weight=0.5)
    for weights, lost in ((settings, 0.4), (PAPER, 0.0)):
        reward = curriculum_reward([True, False], [0.5, 0.5], [0, 0], [0.25, 0.0], weights, likeness=[0.8, 0.0])
        assert reward.total.tolist() == pytest.approx([1 - 0.25 - lost, 0])
        assert reward.archive.tolist() == pytest.approx([lost, 0])
    with pytest.raises(ValueError, match="archive_weight would do nothing"):
        RewardSettings(composition="official-code", archive_weight=0.5)
