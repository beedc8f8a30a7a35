"""The examples of docs/plan.md are what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.config import load_config
from agent0.planning import make_plan, parse_cluster

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("number", "command"), [(0, "--recipe qwen3-8b --gpus 8xH100"), (1, "--recipe qwen3-4b --gpus 2xL40S")]
)
def test_an_example_is_what_the_command_prints(number: int, command: str) -> None:
    done = CliRunner().invoke(app, ["plan", *command.split()], env={"COLUMNS": "80"})
    assert done.exit_code == number  # the second does not fit
    assert lines(done.stdout) == lines(EXAMPLES[number])


@pytest.mark.parametrize(
    ("recipe", "gpus", "share", "hours"),
    re.findall(r"^\| `([\w-]+)` \| (\w+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE),
)
def test_a_share_in_the_table_is_what_the_plan_says(recipe: str, gpus: str, share: str, hours: str) -> None:
    plan = make_plan(load_config(recipe), parse_cluster(gpus))
    assert (f"{plan.share_of_ideal:.2f}", f"{plan.hours:.1f}") == (share, hours)


@pytest.mark.parametrize(("mean", "share"), re.findall(r"^\| (\d+) \| ([\d.]+) \|$", PAGE, re.MULTILINE))
def test_a_share_by_the_length_of_responses_is_what_the_plan_says(mean: str, share: str) -> None:
    plan = make_plan(load_config("qwen3-8b"), parse_cluster("8xH100"), int(mean))
    assert f"{plan.share_of_ideal:.2f}" == share


def test_there_is_no_other_example() -> None:
    assert len(EXAMPLES) == 2
