"""What all commands have in common."""

from __future__ import annotations

import pytest

from agent0.cli.pipeline import app
from tests.kubeflow.conftest import command

NAMES = [str(item.name) for item in app.registered_commands]
OFFLINE = {"compile", "options"}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_teaches_by_an_example(name: str) -> None:
    done = command(name, "--help")
    assert done.code == 0
    assert f"Example: agent0 pipeline {name}" in " ".join(done.out.split())
    assert ("--endpoint" in done.out) == (name not in OFFLINE)


def test_the_issues_commands_are_there() -> None:
    asked = "compile params upload run status logs cancel list schedule unschedule schedules diff"
    assert set(asked.split()) <= set(NAMES)
