"""What the evolution's own run gets of a round, and that the dictionary of metrics says so."""

from __future__ import annotations

from collections.abc import Callable

from metric_dictionary import patterns

from agent0.report.history import History
from agent0.rewards.diversity import diversity_metrics
from agent0.stages.iteration_report import evolution_metrics


def test_rows_of_the_dictionary_that_name_the_evolution_are_its_metrics_and_no_other(
    make_history: Callable[..., History],
) -> None:
    varied = diversity_metrics(["What is 2 + 3?", "How many are 5 apples?"], ["What is 7 - 1?"], 0.5)
    record = make_history().iterations[-1]
    assert record.proposals is not None
    costs = {"replies": 9.0, "prompt_tokens": 900.0, "completion_tokens": 90.0, "cost": 0.1}
    taught = record.model_copy(update={"proposals": record.proposals.model_copy(update={"teacher": costs})})
    logged = {*evolution_metrics(taught), *(f"tasks/diversity_{name}" for name in varied)}
    assert {name for name in logged if not any(row.fullmatch(name) for row in patterns("evolution"))} == set()
    assert [row.pattern for row in patterns("evolution") if not any(map(row.fullmatch, logged))] == []
