import math

import pytest

from agent0.answers import Grader
from agent0.answers.audit import BREAKDOWN, audit_labels, wilson_interval
from agent0.errors import UsageError
from agent0.types import LabelledTask, Task, Vote


def labelled(answer, truth, count, k=10):
    return LabelledTask(
        task=Task(id="t", iteration=1, question="q"),
        vote=Vote(answer=answer, count=count, k=k, clusters=1 if answer else 0),
        answers=(answer,) * k,
        tool_calls=1.0,
        truncated=0.0,
        known_answer=truth,
    )


def test_wilson_interval_matches_its_closed_form():
    rate = wilson_interval(8, 10)
    assert (round(rate.low, 4), round(rate.high, 4), rate.value) == (0.4902, 0.9433, 0.8)


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (5, 5), (1, 1000)])
def test_the_interval_holds_the_rate_and_stays_in_range(successes, trials):
    rate = wilson_interval(successes, trials)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


def test_without_trials_nothing_is_known():
    rate = wilson_interval(0, 0)
    assert math.isnan(rate.value)
    assert (rate.low, rate.high) == (0.0, 1.0)


def test_accuracy_is_counted_per_bin_and_only_where_the_truth_is_known():
    tasks = [
        labelled("4", "4", 9),
        labelled("4.0", "4", 10),
        labelled("5", "4", 8),
        labelled("5", "4", 4),
        labelled("6", "6", 4),
        labelled("7", None, 4),
        labelled(None, "4", 0),
    ]
    with Grader() as grader:
        audit = audit_labels(tasks, grader, kept=3)
    assert (audit.accuracy.successes, audit.accuracy.trials) == (3, 5)
    assert (audit.known, audit.unlabelled) == (6, 1)
    assert [(part.accuracy.successes, part.accuracy.trials) for part in audit.bins] == [(0, 0), (1, 2), (0, 0), (2, 3)]
    assert audit.filter_yield.value == 3 / 7
    assert audit.warnings == ()
    assert audit.breakdown()["label_accuracy_p0.8_1"] == pytest.approx(2 / 3)
    assert "label_accuracy_p0_0.3" not in audit.breakdown()


def test_labels_are_parted_by_the_evidence_for_them():
    truths = {"4": (2, 1.0), "5": (1, 0.2), "6": (3, 0.5)}
    tasks = [
        labelled("4", truth, 5).model_copy(update={"derivations": several, "grounded": share})
        for truth, (several, share) in truths.items()
    ]
    with Grader() as grader:
        found = audit_labels(tasks, grader).breakdown()
    parts = {name: found[f"label_accuracy_{name}"] for name in ("one_derivation", "agreed", "ungrounded", "grounded")}
    assert parts == {"one_derivation": 0, "agreed": 0.5, "ungrounded": 0, "grounded": 0.5}
    assert {name.removeprefix("label_accuracy_") for name in found} <= set(BREAKDOWN)


def test_floors_that_are_not_met_come_back_as_sentences():
    tasks = [labelled("1", "2", 5), labelled("3", "3", 5)]
    with Grader() as grader:
        audit = audit_labels(tasks, grader, kept=0, accuracy_floor=0.6, yield_floor=0.1)
    assert ["pseudo-label accuracy is 0.500" in audit.warnings[0], "yield" in audit.warnings[1]] == [True, True]


def test_no_known_answers_give_no_warning_about_accuracy():
    with Grader() as grader:
        assert audit_labels([labelled("1", None, 5)], grader, accuracy_floor=0.9).warnings == ()


def test_edges_that_do_not_ascend_are_a_usage_error():
    with Grader() as grader, pytest.raises(UsageError, match="ascending"):
        audit_labels([], grader, edges=(0.5, 0.5))
