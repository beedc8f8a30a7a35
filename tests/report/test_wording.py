"""What the sentences claim, against the intervals they rest on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.errors import Agent0Error
from agent0.progress import duration
from agent0.report import wording
from agent0.report.history import ExecutorScores, History, IterationRecord, ProposalStatistics
from agent0.report.intervals import Interval, compare

INTERVALS = st.tuples(*[st.floats(0, 1)] * 3).map(lambda t: Interval(sorted(t)[1], sorted(t)[0], sorted(t)[2]))


def scored(interval: tuple[float, float, float]) -> ExecutorScores:
    accuracy, low, high = interval
    return ExecutorScores(
        accuracy=accuracy,
        ci_low=low,
        ci_high=high,
        n=50,
        tool_calls=1.0,
        self_consistency=0.5,
        samples=4,
        levels={},
    )


def with_ends(history: History, base: ExecutorScores, final: ExecutorScores) -> History:
    records = (
        IterationRecord(iteration=0, executor=base, proposals=None),
        history.iterations[1].model_copy(update={"executor": final}),
    )
    return history.model_copy(update={"iterations": records})


def with_proposals(history: History, **changes: object) -> History:
    records = [
        r if r.proposals is None else r.model_copy(update={"proposals": r.proposals.model_copy(update=changes)})
        for r in history.iterations
    ]
    return history.model_copy(update={"iterations": tuple(records)})


@given(INTERVALS, INTERVALS)
def test_comparison_is_antisymmetric(first: Interval, last: Interval) -> None:
    mirrored = {"above": "below", "below": "above", "overlap": "overlap"}
    assert compare(last, first) == mirrored[compare(first, last)]


def test_touching_intervals_overlap_and_a_missing_bound_compares_with_nothing() -> None:
    assert compare(Interval(0.4, 0.3, 0.5), Interval(0.6, 0.5, 0.7)) == "overlap"
    assert compare(Interval(0.4, 0.3, 0.49), Interval(0.6, 0.5, 0.7)) == "above"
    assert compare(Interval(0.1), Interval(0.9, 0.8, 1.0)) == "none"


@given(INTERVALS, INTERVALS)
def test_headline_claims_a_change_only_without_overlap(
    make_history: Callable[[int], History],
    first: tuple[float, float, float],
    last: tuple[float, float, float],
) -> None:
    sentence = wording.headline(with_ends(make_history(1), scored(first), scored(last)))
    assert ("more accurate" in sentence) == (last[1] > first[2])
    assert ("less accurate" in sentence) == (last[2] < first[1])
    assert ("do not establish" in sentence) == (last[1] <= first[2] and last[2] >= first[1])


def test_label_decay_is_said_only_where_the_intervals_part(make_history: Callable[[int], History]) -> None:
    assert "the intervals overlap" in wording.labels_finding(make_history(2))
    finding = wording.labels_finding(make_history(8))
    assert "fell from 88.5" in finding
    assert "the labels decay" in finding


def test_missing_truth_and_missing_rate_are_said(make_history: Callable[[int], History]) -> None:
    history = with_proposals(make_history(2), label_accuracy=None, first_executor_pass_rate=None)
    assert "No truth is known" in wording.labels_finding(history)
    assert "No proposal has been given" in wording.difficulty_finding(history)


def test_a_change_without_intervals_is_no_claim(make_history: Callable[[int], History]) -> None:
    history = with_proposals(make_history(8), label_accuracy_low=None, label_accuracy_high=None)
    finding = wording.labels_finding(history)
    assert "nothing follows" in finding
    assert "decay" not in finding


def test_a_history_must_start_with_the_base_model_and_repeat_nothing(
    make_history: Callable[[int], History],
) -> None:
    history = make_history(1)
    headless = history.model_copy(update={"iterations": history.iterations[1:]})
    with pytest.raises(Agent0Error, match="iteration 0"):
        wording.ordered_iterations(headless)
    twice = history.model_copy(update={"iterations": history.iterations + history.iterations[1:]})
    with pytest.raises(Agent0Error, match="repeats"):
        wording.ordered_iterations(twice)


def test_histogram_is_numeric_and_ordered(make_history: Callable[[int], History]) -> None:
    proposals = make_history(1).iterations[1].proposals
    assert isinstance(proposals, ProposalStatistics)
    shuffled = proposals.model_copy(update={"self_consistency_histogram": {"1.0": 3, "0.125": 2}})
    assert wording.histogram(shuffled) == [(0.125, 2), (1.0, 3)]
    with pytest.raises(Agent0Error, match="high"):
        wording.histogram(proposals.model_copy(update={"self_consistency_histogram": {"high": 1}}))


def test_band_includes_its_ends_in_spite_of_rounding() -> None:
    assert wording.in_band(0.1 + 0.2, (0.3, 0.8))
    assert wording.in_band(0.8, (0.3, 0.8))
    assert not wording.in_band(0.9, (0.3, 0.8))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.4, "59.4 s"), (245, "4 min 05 s"), (12_000, "3 h 20 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_level_names_are_explained() -> None:
    assert wording.level_meaning("2x1") == "2 operands, 1 digit"
    assert wording.level_meaning("3x2") == "3 operands, ≤ 2 digits"
    assert wording.level_meaning("aime24") == ""
