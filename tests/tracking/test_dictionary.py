from __future__ import annotations

from metric_dictionary import patterns, unknown

GROUPS = {"curriculum", "executor", "tasks", "eval", "sandbox", "system"}


def test_the_dictionary_has_only_the_six_groups() -> None:
    assert {pattern.pattern.split("/")[0] for pattern in patterns()} == {*GROUPS, "(?:curriculum|executor)"}


def test_a_name_that_is_not_explained_is_found() -> None:
    assert unknown({"tasks/kept", "eval/accuracy_3x2", "eval/gsm8k_low", "tasks/keptt", "executor/x", "other/x"}) == [
        "executor/x",
        "other/x",
        "tasks/keptt",
    ]
