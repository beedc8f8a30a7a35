"""`agent0 sandbox …`: run a program, check the isolation, attack it, serve it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent0.cli.screen import Table, console, show_json
from agent0.cli.shared_options import AsJson
from agent0.errors import UsageError
from agent0.listening import LAST_PORT

if TYPE_CHECKING:
    from agent0.config import SandboxSettings

app = typer.Typer(help="Run programs in isolation, and prove the isolation.", no_args_is_help=True)

Memory = Annotated[int | None, typer.Option("--memory", help="Address space of one program, MiB.")]
Preload = Annotated[str | None, typer.Option(help="Modules imported once, with commas; '' for none.")]
Workers = Annotated[int | None, typer.Option(help="Programs at once; 0: one per core.")]

# How `run` exits where the program has no exit code of its own.
_EXIT_CODES = {"timeout": 124, "memory": 137, "output_limit": 137, "killed": 137}


@app.command()
def run(
    file: Annotated[str, typer.Argument(help="The program, local or s3://; - reads standard input.")],
    timeout: Annotated[float | None, typer.Option(help="Wall-clock limit, seconds.")] = None,
    memory: Memory = None,
    preload: Preload = "",
    as_json: AsJson = False,
) -> None:
    """Run one program and print what it printed.

    Example: [bold]agent0 sandbox run program.py --timeout 5[/bold]

    Exits as the program did; 124 after a time-out, 137 if it was killed or ran out of memory or output.
    """
    from agent0.sandbox.pool import SandboxPool
    from agent0.storage.uri_files import read_file

    if file == "-":
        source = sys.stdin.buffer.read()
    else:
        with read_file(file) as path:
            if not path.is_file():
                raise UsageError(f"There is no file {file}; give a Python file, or - for standard input.")
            source = path.read_bytes()
    with SandboxPool(_settings(timeout_seconds=timeout, memory_mb=memory, preload=preload, workers=1)) as pool:
        result = pool.run(source)
    if as_json:
        show_json(result.to_dict())
    else:
        sys.stdout.write(result.stdout)
        sys.stderr.write(result.stderr)
    raise typer.Exit(_EXIT_CODES.get(result.status, result.exit_code))


@app.command()
def check(memory: Memory = None, preload: Preload = "", as_json: AsJson = False) -> None:
    """Show which layers of isolation are on and what was proven; exits with 1 if policy 'strict' is not met.

    Example: [bold]agent0 sandbox check[/bold]
    """
    from agent0.sandbox.layers import LAYERS
    from agent0.sandbox.pool import SandboxPool

    with SandboxPool(_settings(memory_mb=memory, preload=preload, policy="permissive")) as pool:
        report = pool.report
    assert report is not None  # a pool that started has one
    layers = Table("layer", "on", "what it does", "why not", title="Layers")
    for layer in report.layers:
        layers.add(layer.name, "yes" if layer.on else "no", LAYERS[layer.name], layer.detail)
    title = "Guarantees (each was attacked by a probe program)"
    guarantees = Table("guarantee", "proven", "what the probe could do all the same", title=title)
    for guarantee in report.guarantees:
        guarantees.add(guarantee.name, "yes" if guarantee.proven else "NO", ", ".join(guarantee.broken))
    if as_json:
        show_json({"layers": layers.records(), "guarantees": guarantees.records()})
    else:
        console().print(layers, "", guarantees, "")
    report.enforce("strict")
    if not as_json:
        print("Policy 'strict' is met.")


@app.command()
def attack(memory: Memory = 256, preload: Preload = "") -> None:
    """Run the attack corpus under policy 'strict'; exits with 1 if an attack was not contained.

    Example: [bold]agent0 sandbox attack[/bold]
    """
    from agent0.sandbox.attack import World, run_corpus
    from agent0.sandbox.attacks import CORPUS
    from agent0.sandbox.pool import SandboxPool

    settings = _settings(memory_mb=memory, preload=preload, workers=2)
    broken = 0
    with World() as world, SandboxPool(settings) as pool:
        for verdict in run_corpus(pool, world, CORPUS):
            broken += not verdict.contained
            mark = "contained" if verdict.contained else "ESCAPED  "
            print(f"{mark}  {verdict.result.status:12}  {verdict.attack.name}  {verdict.why}".rstrip(), flush=True)
    print(f"{len(CORPUS) - broken} of {len(CORPUS)} attacks contained.")
    raise typer.Exit(1 if broken else 0)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to bind; another than loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=LAST_PORT, help="Port to bind; 0 picks a free one.")] = 8194,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the bearer token; else AGENT0_SANDBOX_TOKEN is read.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Longest wall-clock limit that a request may ask.")] = None,
    memory: Memory = None,
    preload: Preload = None,
    workers: Workers = None,
) -> None:
    """Serve the sandbox over HTTP until SIGTERM, then finish what runs.

    Example: [bold]agent0 sandbox serve --port 8194 --workers 8[/bold]
    """
    from agent0.sandbox.service import serve as serve_http

    settings = _settings(timeout_seconds=timeout, memory_mb=memory, preload=preload, workers=workers)
    serve_http(settings, host, port, token_file)


def _settings(**values: Any) -> SandboxSettings:
    """The settings with what was given on the command line; `preload` is a list with commas."""
    given = {name: value for name, value in values.items() if value is not None}
    if "preload" in given:
        given["preload"] = [name for name in given["preload"].split(",") if name]
    from agent0.config import SandboxSettings, parse_section

    return parse_section(SandboxSettings, given)
