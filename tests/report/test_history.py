"""The history record: its schema, its summary and its import cost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from agent0.report.history import History


def test_history_survives_json(make_history: Callable[[int], History]) -> None:
    history = make_history(2)
    assert History.model_validate_json(history.model_dump_json()) == history


def test_unknown_key_and_assignment_are_rejected(make_history: Callable[[int], History]) -> None:
    history = make_history(1)
    with pytest.raises(ValidationError, match="sede"):
        History.model_validate(history.model_dump() | {"sede": 1})
    with pytest.raises(ValidationError, match="frozen"):
        history.seed = 7  # type: ignore[misc]


def test_summary_has_the_promised_shape_and_is_json(make_history: Callable[[int], History]) -> None:
    history = make_history(2)
    summary = json.loads(json.dumps(history.summary(), allow_nan=False))
    assert set(summary) == {
        "recipe",
        "ablations",
        "seed",
        "seconds",
        "mlflow_run_id",
        "before_warm_start",
        "iterations",
    }
    assert summary["seconds"] == 372.5
    base, first, _ = summary["iterations"]
    score = {"accuracy", "ci_low", "ci_high", "n", "tool_calls", "self_consistency"}
    assert set(base) == {"iteration", "executor", "flips", "kept_previous", "proposals"}
    assert set(base["executor"]) == score | {"levels"}
    assert list(base["executor"]["levels"]) == ["2x1", "2x2", "3x1", "3x2", "4x2", "5x2"]
    assert all(set(level) == score for level in base["executor"]["levels"].values())
    assert base["proposals"] is None
    assert first["proposals"] == {
        "generated": 160,
        "valid": 129,
        "kept": 78,
        "first_executor_pass_rate": 0.59,
        "self_consistency": 0.6,
        "tool_calls": 0.95,
        "label_accuracy": 0.885,
        "label_accuracy_by": {},
        "kept_wrong": None,
        "kept_novelty": None,
        "kept_repeated": None,
        "distinct": 0.95,
        "clusters": None,
        "teacher": {},
    }


def test_summary_rounds_to_six_digits_and_keeps_none(make_history: Callable[[int], History]) -> None:
    history = make_history(1)
    record = history.iterations[1]
    assert record.proposals is not None
    proposals = record.proposals.model_copy(update={"label_accuracy": None, "self_consistency": 2 / 3})
    history = history.model_copy(
        update={"iterations": (history.iterations[0], record.model_copy(update={"proposals": proposals}))}
    )
    written = history.summary()["iterations"][1]["proposals"]
    assert written["label_accuracy"] is None
    assert written["self_consistency"] == 0.666667


def test_history_imports_neither_matplotlib_nor_jinja2() -> None:
    code = "import sys, agent0.report.history; print(sorted({'matplotlib', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
