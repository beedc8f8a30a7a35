"""`agent0 benchmarks …`: what the benchmarks are, what one asks and how it judges, and mirroring them."""

from __future__ import annotations

from typing import Annotated

import typer

from agent0.cli.interruption import SENTENCE, interruptible
from agent0.cli.screen import Table
from agent0.cli.shared_options import AsJson
from agent0.extras import installing

app = typer.Typer(help="The benchmarks: list them, show one, mirror them.", no_args_is_help=True)


@app.command("list")
def list_benchmarks(
    gym: Annotated[bool, typer.Option("--gym", help="List the families of reasoning-gym instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the benchmarks.

    Example: [bold]agent0 benchmarks list[/bold]
    """
    from agent0.benchmarks.catalogue import BENCHMARKS
    from agent0.benchmarks.shipped.gym import PREFIX, SETS, is_installed
    from agent0.domains import domain_names

    if gym:
        _list_families(as_json)
        return
    table = Table("name", "rows", "split", "dataset", "pinned", right=("rows",), spare=("pinned",))
    for benchmark in BENCHMARKS:
        data = benchmark.dataset
        pinned = data.revision[:10] if data.revision else "by fetch" if data.hub_id else "–"
        table.add(benchmark.name, f"{data.rows:,}", data.split, data.hub_id or "generated here", pinned)
    if is_installed():
        from agent0.benchmarks.shipped.gym import families, resolve

        for name in SETS:
            entry = resolve(f"{PREFIX}{name}")
            table.add(entry.name, f"{entry.dataset.rows:,}", entry.dataset.split, "generated here", "–")
        told = f"Beside these, {len(families())} families of reasoning-gym are benchmarks: agent0 benchmarks list --gym"
    else:
        told = f"gym:small and the families of reasoning-gym need {installing('gym')}"
    table.notes = (
        told,
        f"domain:NAME is one of any domain whose program writes tasks; installed are {', '.join(domain_names())}",
    )
    table.show(as_json=as_json)


def _list_families(as_json: bool) -> None:
    from agent0.benchmarks.shipped.gym import PREFIX, SETS, categories

    table = Table("name", "families, or the category of one")
    for name, chosen in SETS.items():
        table.add(f"{PREFIX}{name}", ", ".join(chosen))
    for name, category in sorted(categories().items()):
        table.add(f"{PREFIX}{name}", category)
    table.show(as_json=as_json)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Benchmark; `agent0 benchmarks list` names them.")]) -> None:
    """Show a benchmark: its data, and for each preset prompt, decoding and rules.

    Example: [bold]agent0 benchmarks show mmlu_pro[/bold]
    """
    from agent0.benchmarks.benchmark_description import description
    from agent0.benchmarks.catalogue import benchmark

    print(description(benchmark(name)))


@app.command()
def fetch(
    to: Annotated[str, typer.Option("--to", help="Folder, local or s3://, that the files are written to.")],
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks; all that have data if none is named.")] = None,
) -> None:
    """Copy benchmarks from the hub to a place that clusters reach, checked and pinned by a manifest each.

    Example: [bold]agent0 benchmarks fetch gsm8k mmlu_pro --to s3://data/benchmarks[/bold], and on the cluster
    AGENT0_BENCHMARKS=s3://data/benchmarks
    """
    from agent0.benchmarks.catalogue import BENCHMARKS, benchmark
    from agent0.benchmarks.mirror import mirror

    chosen = [benchmark(name) for name in names or [b.name for b in BENCHMARKS if b.generate is None]]
    with interruptible(f"{SENTENCE} Fetch the others by their names."):
        for entry in chosen:
            manifest = mirror(entry, to)
            print(f"{to.rstrip('/')}/{entry.name}.jsonl: {manifest.rows} rows at {manifest.revision[:10]}")
