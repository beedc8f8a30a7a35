"""Why an iteration gave nothing: said where the questions show no gain, with the reasons that the records hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from markupsafe import escape
from rich.console import Console

from agent0.cli.report_view import history_table
from agent0.report.evolution_page import render
from agent0.report.fruitless_iterations import evidence_rows, explanations
from agent0.report.history import Flips, History

NO_CHANGE = Flips(questions=200, lost=12, won=14, p_value=0.8)


def changed(history: History, iteration: int, flips: Flips | None, **proposals: Any) -> History:
    """The history with other flips and other statistics of the proposals of one iteration."""
    records = list(history.iterations)
    old = records[iteration]
    assert old.proposals is not None
    records[iteration] = old.model_copy(
        update={"flips": flips, "proposals": old.proposals.model_copy(update=proposals)}
    )
    return history.model_copy(update={"iterations": tuple(records)})


def of(history: History, iteration: int) -> list[str]:
    return [text for text in explanations(history) if text.startswith(f"Iteration {iteration} ")]


def test_an_iteration_that_gained_is_not_explained(make_history: Callable[[int], History]) -> None:
    gained = Flips(questions=200, lost=3, won=40, p_value=1e-4)
    assert of(changed(make_history(3), 2, gained), 2) == []


def test_wrong_labels_few_tasks_and_repetition_are_named(make_history: Callable[[int], History]) -> None:
    history = changed(make_history(3), 1, None, kept=90, kept_wrong=0.02)
    history = changed(history, 2, NO_CHANGE, kept=27, kept_wrong=0.3, kept_repeated=0.6)
    [text] = of(history, 2)
    assert text == (
        "Iteration 2 gave nothing that the questions show: of 200 held-out questions 14 went from wrong to right and "
        "12 from right to wrong (p = 0.8). Against it speak: 30.0\u00a0% of the labels that it trained on are wrong, "
        "2.0\u00a0% in iteration 1; 27 tasks were kept, 90 in iteration 1; 60.0\u00a0% of the kept questions are like "
        "ones of earlier iterations."
    )


def test_harm_is_called_harm(make_history: Callable[[int], History]) -> None:
    history = make_history(3)
    worse = history.iterations[2].executor.model_copy(update={"accuracy": 0.1})
    records = list(history.iterations)
    records[2] = records[2].model_copy(
        update={"executor": worse, "flips": Flips(questions=200, lost=50, won=2, p_value=1e-5)}
    )
    [text] = of(history.model_copy(update={"iterations": tuple(records)}), 2)
    assert text.startswith("Iteration 2 did harm: of 200 held-out questions 2 went")


def test_an_executor_that_the_guard_kept_is_told_of(make_history: Callable[[int], History]) -> None:
    history = changed(make_history(3), 2, NO_CHANGE, kept_wrong=0.5)
    records = list(history.iterations)
    records[2] = records[2].model_copy(update={"kept_previous": True})
    [text] = of(history.model_copy(update={"iterations": tuple(records)}), 2)
    assert text.startswith("Iteration 2 kept the executor before it, since the training did harm to the known tasks. ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"filtered": {"too_easy": 100}, "valid": 120}, "the executor was sure of 100 of the 120 valid tasks"),
        ({"filtered": {"too_easy": 10}}, "Nothing in its records says why."),
    ],
)
def test_what_the_executor_is_sure_of_is_a_reason(
    make_history: Callable[[int], History], changes: dict[str, Any], reason: str
) -> None:
    [text] = of(changed(make_history(3), 2, NO_CHANGE, **changes), 2)
    assert reason in text


def test_groups_that_answer_alike_are_a_reason(make_history: Callable[[int], History]) -> None:
    history = changed(make_history(3), 2, NO_CHANGE)
    records = list(history.iterations)
    steps = tuple({"step": float(step), "frac_reward_zero_std": 0.9} for step in range(4))
    records[2] = records[2].model_copy(update={"training": {"executor": steps}})
    [text] = of(history.model_copy(update={"iterations": tuple(records)}), 2)
    assert "in 90.0\u00a0% of its groups all answers earned the same" in text


def test_without_verdicts_the_intervals_speak(make_history: Callable[[int], History]) -> None:
    history = make_history(3)
    records = [r.model_copy(update={"executor": history.iterations[0].executor}) for r in history.iterations]
    [text] = of(history.model_copy(update={"iterations": tuple(records)}), 3)
    assert text.startswith("Iteration 3 is not shown to have gained: its interval overlaps the one before.")


def test_what_each_iteration_was_worth_is_a_row_for_each_measure(make_history: Callable[[int], History]) -> None:
    history = changed(make_history(3), 2, NO_CHANGE, kept_wrong=0.3, label_accuracy_by={"p0.3_0.5": 0.5, "agreed": 1.0})
    assert evidence_rows(history) == [
        ("questions won", ["–", "14", "–"]),
        ("questions lost", ["–", "12", "–"]),
        ("labels right, p̂ 0.3 to 0.5", ["–", "50.0\u00a0%", "–"]),
        ("labels right, agreed", ["–", "100.0\u00a0%", "–"]),
        ("kept labels wrong", ["–", "30.0\u00a0%", "–"]),
    ]
    assert "labels right, agreed" in render(history)


def test_what_was_not_recorded_has_no_table(make_history: Callable[[int], History]) -> None:
    assert evidence_rows(make_history(3)) == []
    assert "What each iteration was worth" not in render(make_history(3))


def test_the_page_and_the_terminal_say_it(make_history: Callable[[int], History]) -> None:
    history = changed(make_history(3), 2, NO_CHANGE, kept_wrong=0.3)
    [text] = of(history, 2)
    assert str(escape(text)) in render(history)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(history_table(history))
    assert " ".join(text.split()) in " ".join(console.export_text().split())
