from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent0.cli.main import app
from agent0.errors import UsageError

Write = Callable[..., Path]


def gate(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["gate", *map(str, arguments)])


def test_a_shown_gain_exits_with_0_and_is_in_the_table(write_evaluation: Write) -> None:
    done = gate(write_evaluation("new", {"gsm8k": 70}), write_evaluation("old", {"gsm8k": 50}))
    assert done.exit_code == 0
    assert "promote: Promote the candidate: it gains on gsm8k" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("gsm8k")]
    assert row[:5] == ["gsm8k", "100", "50.0", "70.0", "+20.0"]
    assert row[-1] == "McNemar"


def test_no_shown_gain_exits_with_3_and_says_why_as_json(write_evaluation: Write) -> None:
    done = gate(write_evaluation("new", {"gsm8k": 51}), write_evaluation("old", {"gsm8k": 50}), "--json")
    assert done.exit_code == 3
    record = json.loads(done.stdout)
    assert record["decision"] == "keep"
    assert "no benchmark shows a gain" in record["reason"]
    assert (record["candidate"]["name"], record["champion"]["name"]) == ("new", "old")


def test_the_thresholds_are_options(write_evaluation: Write) -> None:
    new, old = write_evaluation("new", {"gsm8k": 70, "math": 80}), write_evaluation("old", {"gsm8k": 50, "math": 90})
    assert gate(new, old).exit_code == 3
    assert gate(new, old, "--allowed-loss", "math=0.2").exit_code == 0
    assert gate(new, old, "--allowed-loss", "0.2").exit_code == 0
    assert gate(new, old, "--allowed-loss", "0.2", "--minimum-gain", "0.1").exit_code == 3
    assert gate(new, old, "--allowed-loss", "0.2", "--significance", "1e-9").exit_code == 3


@pytest.mark.parametrize(
    ("options", "right", "told"),
    [
        (["--allowed-loss", "gsm8k=much"], {"gsm8k": 60}, "neither SHARE nor BENCHMARK=SHARE"),
        (["--significance", "2"], {"gsm8k": 60}, "Setting 'significance'"),
        ([], {"gsm8k": 60, "math": 1}, "Only new ran math"),
        ([], {"math": 60}, "share no benchmark"),
        (["--significance", "1e-31"], {"gsm8k": 60}, "gsm8k: too few questions (100): p is at least 1.6e-30"),
    ],
)
def test_what_cannot_be_decided_is_refused(
    options: list[str], right: dict[str, int], told: str, write_evaluation: Write
) -> None:
    done = gate(write_evaluation("new", right), write_evaluation("old", {"gsm8k": 50}), *options)
    assert isinstance(done.exception, UsageError)
    assert told in str(done.exception)
