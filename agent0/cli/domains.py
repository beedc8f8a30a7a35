"""`agent0 domains …`: which kinds of tasks are installed, and what one asks of a model."""

from __future__ import annotations

from typing import Annotated

import typer

from agent0.cli.screen import Table
from agent0.cli.shared_options import AsJson
from agent0.seeds import SEED_LIMIT

app = typer.Typer(invoke_without_command=True)

Seed = Annotated[int, typer.Option(min=0, max=SEED_LIMIT - 1, help="Seed of the tasks that are drawn.")]


@app.callback()
def domains(context: typer.Context, as_json: AsJson = False) -> None:
    """List the installed domains: whether truth is known or verified, a program draws tasks, there are other prompts.

    `show` prints one, or says what is broken about it.

    Example: [bold]agent0 domains[/bold]
    """
    if context.invoked_subcommand is not None:
        return
    from agent0.domains.domain_description import rows

    table = Table("name", "from", "truth", "draw", "variants")
    for row in rows():
        table.add(*row)
    table.show(as_json=as_json)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Domain: its entry point, or package.module:NAME.")], seed: Seed = 0
) -> None:
    """Print the prompts of both agents, two drawn tasks, and the rules of a valid question.

    Example: [bold]agent0 domains show word_problems[/bold]
    """
    from agent0.domains.domain_description import description

    print(description(name, seed))
