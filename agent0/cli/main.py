"""The command line `agent0 …`: thin, and quick to start; what a command needs is imported by that command."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from agent0.ablations import ABLATIONS
from agent0.cli.benchmarks import app as benchmarks_app
from agent0.cli.compare import compare
from agent0.cli.config import config
from agent0.cli.doctor import doctor
from agent0.cli.domains import app as domains_app
from agent0.cli.evaluate import evaluate
from agent0.cli.evolve import evolve
from agent0.cli.gate import gate
from agent0.cli.hub import app as tasks_app
from agent0.cli.hub import push_model
from agent0.cli.interruption import EXIT_CODE, SENTENCE
from agent0.cli.judge import judge
from agent0.cli.models import app as models_app
from agent0.cli.pipeline import app as pipeline_app
from agent0.cli.plugins import app as plugins_app
from agent0.cli.sandbox import app as sandbox_app
from agent0.cli.screen import Table, console, show_json
from agent0.cli.serving import publish, serve
from agent0.cli.shared_options import AsJson, Overrides, Recipe
from agent0.cli.surroundings import check_surroundings
from agent0.cli.tracking import app as tracking_app
from agent0.cli.tracking import reproduce
from agent0.errors import Agent0Error, UsageError, explain, is_refusal
from agent0.extras import extra_of, not_installed
from agent0.listening import LAST_PORT, listening

ORDER = (
    *(
        "evolve",
        "evaluate",
        "pipeline",
        "report",
        "ui",
        "plan",
        "doctor",
        "config",
        "models",
        "tasks",
        "compare",
        "gate",
    ),
    *("judge", "reproduce", "benchmarks", "domains", "plugins", "ablations", "sandbox", "tracking", "version"),
)
"""The commands as help lists them: by use."""


class ByUse(TyperGroup):
    """Commands in that order."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return their names."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    cls=ByUse,
    name="agent0",
    help="Grow two agents from one base model: a curriculum agent proposes tasks at the edge of what an executor "
    "agent can do, and the executor learns from its own votes on them.\n\nStart with: [bold]agent0 evolve[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.add_typer(pipeline_app, name="pipeline")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(benchmarks_app, name="benchmarks")
app.add_typer(models_app, name="models")
app.add_typer(tasks_app, name="tasks")
app.add_typer(domains_app, name="domains")
app.add_typer(plugins_app, name="plugins")
app.add_typer(tracking_app, name="tracking")
models_app.command()(serve)
models_app.command()(publish)
models_app.command("push")(push_model)
app.command()(evolve)
app.command()(reproduce)
app.command()(compare)
app.command()(gate)
app.command()(judge)
app.command()(evaluate)
app.command()(doctor)
app.command()(config)


@app.command()
def report(
    runs: Annotated[
        list[str],
        typer.Argument(help="Folders of `agent0 evolve`, their copies at s3://…, or evolutions in MLflow, runs:/ID."),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="File to write, local or s3://; the run's own report.html, or comparison.html of several.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Draw the report of a run anew from its history, or put up to five runs side by side.

    Example: [bold]agent0 report runs/evolution[/bold]

    Example: [bold]agent0 report runs/seed0 runs/seed1 runs/grpo -o comparison.html[/bold] compares each with the first
    """
    from agent0.cli.report_view import comparison_table, history_table
    from agent0.report.evolution_comparison_page import render_comparison
    from agent0.report.evolution_page import render
    from agent0.stages.iteration_report import write_history
    from agent0.stages.open_history import is_local, open_history, open_runs
    from agent0.storage.atomic_file import atomic_write
    from agent0.storage.uri_files import write_file

    if len(runs) > 1:
        found, page = open_runs(runs), output or "comparison.html"
        text, table = render_comparison(found), comparison_table(found)
        summary: object = table.records()
    else:
        history = open_history(runs[0])
        if not output:
            if not is_local(runs[0]):
                raise UsageError(f"{runs[0]} is no folder to write to; say where the report shall go with --output.")
            write_history(history, Path(runs[0]))
        summary = history.summary()
        text, table, page = render(history), history_table(history), output or f"{runs[0].rstrip('/')}/report.html"
    with write_file(page) as path, atomic_write(path) as file:
        file.write(text)
    if as_json:
        show_json(summary)
        return
    table.show()
    print(f"report   {page}")


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=LAST_PORT, help="Port on this machine.")] = 5000,
) -> None:
    """Serve MLflow on the store that runs are tracked in, and print the address of the newest evolution's charts.

    Example: [bold]agent0 ui --port 5001[/bold]
    """
    from agent0.tracking.job_runs import charts_below
    from agent0.tracking.tracking_location import tracking_uri

    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        print(f"Runs are tracked by the server at {uri}: {charts_below(uri, uri)}")
        return
    listening("127.0.0.1", port).close()
    charts = charts_below(uri, f"http://127.0.0.1:{port}")
    print(f"MLflow on {uri}, until Ctrl-C: {charts}", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    os.execv(sys.executable, [*command, "--port", str(port)])


@app.command()
def plan(
    gpus: Annotated[str, typer.Option("--gpus", "-g", help="COUNTxGPU or NODESxCOUNTxGPU: 8xH200, 2x8xH100.")],
    recipe: Recipe = "tiny",
    overrides: Overrides = None,
    mean_response_tokens: Annotated[
        int | None, typer.Option(min=1, help="Mean length of a response; 35 % of the budget if not given.")
    ] = None,
    rates: Annotated[
        str, typer.Option(help="JSON file of measured rates, local or s3://; else the hours are estimates.")
    ] = "",
    measure: Annotated[
        str,
        typer.Option(help="Finished run on these GPUs, local or s3://: write its rates to the file of --rates first."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what an evolution needs on given GPUs: memory, tokens and hours of each stage. Starts nothing.

    Example: [bold]agent0 plan --recipe qwen3-8b --gpus 8xH200[/bold]

    Exits with 1 if the settings do not fit, and then proposes the nearest ones that do.
    """
    from agent0 import planning
    from agent0.cli.plan_view import plan_view
    from agent0.consistency import read_settings

    settings, cluster = read_settings(recipe, overrides), planning.parse_cluster(gpus)
    longest = settings.rollout.max_response_tokens
    if mean_response_tokens is not None and mean_response_tokens > longest:
        raise UsageError(f"--mean-response-tokens is above rollout.max_response_tokens, {longest:,}; lower it.")
    if measure:
        if not rates:
            raise UsageError("--measure needs --rates FILE, the file to write.")
        planning.write_rates(rates, [planning.rates_from_history(measure, cluster)])
    architecture = planning.architecture_of(settings.model)
    measured = planning.read_rates(rates).choose(cluster, architecture) if rates else None
    made = planning.make_plan(settings, cluster, mean_response_tokens, measured)
    placements = planning.compare_placements(settings, cluster, mean_response_tokens, measured)
    proposal = None if made.fits else planning.propose(settings, cluster, overrides or [])
    made = made.model_copy(update={"placements": placements, "proposal": proposal})
    if as_json:
        print(made.model_dump_json(indent=2))
    else:
        console().print(plan_view(made))
    raise typer.Exit(0 if made.fits else 1)


@app.command("ablations")
def list_ablations(as_json: AsJson = False) -> None:
    """List what `--ablation` may leave out, the settings behind each, and the paper's row for it.

    Example: [bold]agent0 ablations[/bold], then agent0 evolve --ablation grpo --output runs/grpo
    """
    table = Table("ablation", "what is left out, and by which setting", "paper")
    for ablation in ABLATIONS.values():
        table.add(ablation.name, f"{ablation.description}\n{ablation.as_overrides()}", ablation.paper or "–")
    table.show(as_json=as_json)


@app.command()
def version() -> None:
    """Print the version.

    Example: [bold]agent0 version[/bold]
    """
    from agent0 import __version__

    print(__version__)


def _print_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def agent0(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line; an error that a person can mend is one sentence, not a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a sign gets its number
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers' as well; `Bars` has our own
    try:
        check_surroundings(sys.argv, os.environ)
        try:
            app()
        finally:
            print(end="", flush=True)  # here, where a full disk can still be told of
    except Agent0Error as error:
        print(f"agent0: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as error:
        if not error.name or not extra_of(error.name):
            raise
        missing = not_installed(error.name)
        print(f"agent0: {missing}", file=sys.stderr)
        raise SystemExit(missing.exit_code) from None
    except Exception as error:
        if not is_refusal(error):
            raise
        print(f"agent0: {explain(error)}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what could not be printed is not tried again at the end
        raise SystemExit(1) from None
    except SystemExit as ended:
        if ended.code == EXIT_CODE:  # by Ctrl-C, in a command that has no more to say of it
            print(f"agent0: {SENTENCE}", file=sys.stderr)
        raise
