"""`agent0 compare …`: evaluations beside each other and beside the paper."""

from __future__ import annotations

from typing import Annotated

import typer

from agent0.cli.screen import console, show_json
from agent0.cli.shared_options import AsJson


def compare(
    runs: Annotated[list[str], typer.Argument(help="Output folders of `agent0 evaluate`, local or s3://.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Also write the report to this file, local or s3://.")
    ] = "",
    base: Annotated[
        str | None, typer.Option(help="The paper's rows to show: qwen3-4b-base or qwen3-8b-base; by the models' names.")
    ] = None,
    history: Annotated[
        str, typer.Option(help="Folder or s3:// of a schedule's records, to draw over time as well.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Put evaluations beside each other and beside the paper's tables, with intervals.

    Example: [bold]agent0 compare runs/base runs/iteration-3 --output comparison.html[/bold]
    """
    from agent0.cli.report_view import evaluations_table
    from agent0.promotion.claims import pair_runs, read_runs
    from agent0.promotion.scheduled_records import in_order, past_runs
    from agent0.storage.atomic_file import atomic_write
    from agent0.storage.uri_files import write_file

    found = read_runs(runs)
    pairs = pair_runs(found)
    past, complaints = past_runs(history) if history else ([], [])
    table = evaluations_table(found, pairs, base)
    if as_json:
        show_json({"scores": table.records(), "findings": list(table.notes), "complaints": complaints})
    else:
        console().print(table, *complaints, sep="\n")
    if output:
        from agent0.promotion.comparison_page import render

        with write_file(output) as path, atomic_write(path) as file:
            file.write(render(found, pairs, base, in_order(found, past)))
        if not as_json:
            print(f"report   {output}")
