"""`agent0 pipeline …`: the commands, each in the module of its subject."""

from __future__ import annotations

import typer

from agent0.cli.pipeline_check import check_pipeline, show_pipeline
from agent0.cli.pipeline_compile import compile_pipeline, list_options
from agent0.cli.pipeline_rerun import rerun_pipeline
from agent0.cli.pipeline_run import run_pipeline
from agent0.cli.pipeline_schedule import list_schedules, schedule_pipeline, unschedule_pipeline
from agent0.cli.pipeline_status import cancel_run, show_logs, show_status
from agent0.cli.pipeline_version import diff_pipelines, list_pipelines, show_parameters, upload_pipeline

app = typer.Typer(help="Pipelines for Kubeflow: compile, upload, run, watch, schedule, compare.", no_args_is_help=True)
app.command("compile")(compile_pipeline)
app.command("options")(list_options)
app.command("params")(show_parameters)
app.command("check")(check_pipeline)
app.command("show")(show_pipeline)
app.command("upload")(upload_pipeline)
app.command("run")(run_pipeline)
app.command("rerun")(rerun_pipeline)
app.command("status")(show_status)
app.command("logs")(show_logs)
app.command("cancel")(cancel_run)
app.command("list")(list_pipelines)
app.command("schedule")(schedule_pipeline)
app.command("unschedule")(unschedule_pipeline)
app.command("schedules")(list_schedules)
app.command("diff")(diff_pipelines)
