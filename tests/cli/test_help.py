"""Every command's help has examples that hold, and the words that a shell completes are those that there are."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from agent0.ablations import ABLATIONS
from agent0.cli.main import app, main
from agent0.recipes import recipe_names
from tests.docs.commands_page import commands

WHOLE = typer.main.get_command(app)
GROUPS = {f"agent0 {name}": group for name, group in WHOLE.commands.items() if hasattr(group, "commands")}
EVERY = {**commands(), **{name: group for name, group in GROUPS.items() if group.invoke_without_command}}
RUN_HERE = (
    *("pipeline compile", "pipeline options", "pipeline params", "pipeline check", "pipeline show", "config", "plan"),
    *("ablations", "domains", "domains show", "benchmarks list", "benchmarks show", "plugins", "version"),
)
"""Commands whose examples need nothing but this machine and little time; the first one writes what the next read."""


def examples(name: str) -> list[list[str]]:
    """The words of each example in a command's help, without where a shell sends what is printed."""
    found = re.findall(r"Example: \[bold\](agent0 .*?)\[/bold\]", " ".join(EVERY[name].help.split()))
    return [shlex.split(text.partition(" >")[0]) for text in found]


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_examples_that_it_understands(name: str) -> None:
    assert examples(name)
    for words in examples(name):
        assert words[: len(name.split())] == name.split()
        EVERY[name].make_context(name, words[len(name.split()) :])


def test_examples_that_need_only_this_machine_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in itertools.chain.from_iterable(examples(f"agent0 {name}") for name in RUN_HERE):
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (words, ended.value.code or 0) == (words, 0), said.err
        assert said.out


def test_commands_stand_by_use_in_help() -> None:
    assert list(WHOLE.list_commands(WHOLE.make_context("agent0", ["version"])))[:3] == [
        "evolve",
        "evaluate",
        "pipeline",
    ]


@pytest.mark.parametrize("width", ["80", "120"])
@pytest.mark.parametrize("of", ["", "evaluate", "pipeline run"])
def test_help_keeps_to_the_window(of: str, width: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent0", *of.split(), "--help"],
        env={**os.environ, "COLUMNS": width, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert max(map(len, done.stdout.splitlines())) <= int(width)
    assert "\x1b[3" not in done.stdout


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("agent0 ev", {"evolve", "evaluate"}),
        ("agent0 evolve --recipe ", set(recipe_names())),
        ("agent0 evolve --ablation ", set(ABLATIONS)),
        ("agent0 config --set executor.adpo.max", {"executor.adpo.max_clip_bonus="}),
    ],
)
def test_a_shell_completes_commands_recipes_ablations_and_settings(typed: str, completed: set[str]) -> None:
    words = typed.split(" ")
    asked = {"_AGENT0_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; from agent0.cli.main import main; sys.argv = ['agent0']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) == completed
