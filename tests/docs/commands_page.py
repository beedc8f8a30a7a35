"""docs/commands.md, made of the command line's own help: `make commands` writes it anew; a test compares the text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from agent0.cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
HEAD = """\
<!-- Written by `make commands`; change the help texts in agent0/cli instead. -->

# Commands

What `agent0 COMMAND --help` says of each. A command that needs an extra names it. A command exits with 0 if all went
well, with 1 if it failed, with 2 if it was asked for something that cannot be, and with 130 after Ctrl-C; other codes
are said below.

`agent0 --install-completion` has the shell (bash, zsh, fish) complete commands, options, recipes, ablations and
settings from its next start on; `agent0 --show-completion` prints what it would add. `--json` prints what a script
reads. Progress and tables keep to the window, or to `COLUMNS`; a pipe gets whole values, a row a line, and one line of
progress in ten seconds. `NO_COLOR` leaves colours out.

| command | what it does |
| --- | --- |
"""
SHARED = "Connection"
"""A panel of options that many commands have."""


def commands() -> dict[str, Any]:
    """Return every command that does something, by all of its words, in the order of the help."""
    return dict(_below("agent0", typer.main.get_command(app)))


def page() -> str:
    """Return the whole page."""
    found = commands()
    summaries = "".join(f"| [`{name}`](#{_anchor(name)}) | {_cell(_texts(c)[0])} |\n" for name, c in found.items())
    shared = next(_options(c, SHARED) for c in found.values() if _options(c, SHARED))
    told = f"\n## Options of the connection\n\nOf every command that talks to Kubeflow Pipelines.\n\n{_table(shared)}"
    return HEAD + summaries + "".join(_section(name, command) for name, command in found.items()) + told


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word in command.list_commands(None):
        yield from _below(f"{name} {word}", command.commands[word])


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _section(name: str, command: Any) -> str:
    arguments = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *arguments, "[OPTIONS]"])
    texts = "\n\n".join(_texts(command))
    own, shared = _options(command, None), _options(command, SHARED)
    told = "\nAnd the [options of the connection](#options-of-the-connection).\n" if shared else ""
    return f"\n## `{name}`\n\n{texts}\n\n```text\n{usage}\n```\n" + (f"\n{_table(own)}" if own else "") + told


def _texts(command: Any) -> list[str]:
    """Return the paragraphs of a command's help as Markdown."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return [re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", " ".join(text.split())) for text in paragraphs]


def _options(command: Any, panel: str | None) -> list[Any]:
    listed = [p for p in command.params if not p.hidden and "--help" not in p.opts]
    return [p for p in listed if (getattr(p, "rich_help_panel", None) == SHARED) == (panel == SHARED)]


def _table(params: list[Any]) -> str:
    return "| option | default | meaning |\n| --- | --- | --- |\n" + "".join(map(_row, params))


def _row(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    if param.param_type_name == "argument":
        names = f"`{_argument(param)}`"
    return f"| {names} | {_default(param)} | {_cell(param.help or '')} |\n"


def _argument(param: Any) -> str:
    name = (param.metavar or param.name.upper()) + ("..." if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"


def _default(param: Any) -> str:
    if param.required:
        return "required"
    value = param.default
    if value in (None, "", False, (), []) or callable(value):
        return "–"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _cell(text: str) -> str:
    return re.sub(r"\[/?bold\]", "`", text).replace("|", r"\|").replace("*", r"\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
