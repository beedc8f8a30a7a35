"""`agent0 doctor`: this machine, or a cluster."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from agent0.findings import healthy, render_json, render_table
from agent0.kubeflow.client import Connection
from agent0.kubeflow.options import connected

PANEL = "What runs in the cluster will use"


@connected
def doctor(
    cluster: Annotated[bool, typer.Option("--cluster", help="Look at a cluster instead of this machine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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

    Exits with 1 if something that is needed is missing. A cluster is only read, with your own rights.
    """
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
