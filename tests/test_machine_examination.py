"""`agent0 doctor` on this machine, as a table and as JSON."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from agent0 import machine_examination
from agent0.cli.doctor import findings_table
from agent0.cli.main import app
from agent0.errors import Agent0Error
from agent0.findings import Finding


def _fail() -> str:
    raise Agent0Error("only 3 MiB free here")


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_examination, "EVOLUTION", ("pydantic",))
    for name in ("_sandbox", "_tracking", "_disk", "_accelerator"):
        monkeypatch.setattr(machine_examination, name, lambda: "well")


@pytest.mark.usefixtures("healthy")
def test_the_machine_is_healthy_when_every_check_is() -> None:
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert "package pydantic" in done.stdout


@pytest.mark.usefixtures("healthy")
def test_one_failure_is_shown_and_makes_the_command_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_examination, "_disk", _fail)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["healthy"]) == (1, False)
    assert {"check": "free disk", "state": "fail", "finding": "only 3 MiB free here", "advice": ""} in shown["checks"]


def test_a_finding_with_brackets_is_printed_as_it_is() -> None:
    table = findings_table("title", [Finding("check", "warn", "[red]", "do [this]")])
    assert [str(cell) for cell in table.rows[0]] == ["check", "warn", "[red]\n→ do [this]"]
