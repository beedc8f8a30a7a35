"""`agent0 pipeline …`: the commands, each in the module of its subject."""

from __future__ import annotations

import typer

from agent0.kubeflow.compile_cli import compile_pipeline

app = typer.Typer(help="Pipelines for Kubeflow.", no_args_is_help=True)
app.command("compile")(compile_pipeline)
