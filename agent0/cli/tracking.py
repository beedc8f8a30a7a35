"""The commands `agent0 tracking …` and `agent0 reproduce`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from agent0.cli.interruption import SENTENCE, interruptible
from agent0.cli.shared_options import Quiet, run_folder
from agent0.errors import UsageError, warn
from agent0.extras import EVOLUTION, require
from agent0.storage.uri import is_in_s3

PARAMETERS = {"iteration": "start_iteration"}
"""Run parameters of the pipeline that have another name than the field of `Beginning`."""

app = typer.Typer(help="What is written to MLflow.", no_args_is_help=True)


@app.callback()
def tracking() -> None:
    """Keep `flush` a command of its own while it is the only one."""


@app.command()
def flush(
    files: Annotated[
        list[str], typer.Argument(help="Tracking buffers: files, s3:// places, or a folder of them or of runs' ones.")
    ],
    uri: Annotated[str, typer.Option(help="Tracking store; the one that the stage tracked to if not given.")] = "",
) -> None:
    """Deliver what MLflow had not taken when a stage ended. Doing it twice does no harm.

    Example: [bold]agent0 tracking flush runs/evolution/workspace/tracking[/bold]
    """
    from agent0.tracking.flush import flush as deliver

    for place in [place for given in files for place in _buffers(given)]:
        print(f"{place}: {deliver(place, uri)} entries delivered", flush=True)


def _buffers(place: str) -> list[str]:
    if is_in_s3(place) or not Path(place).is_dir():
        return [place]
    from agent0.tracking.journal import looks_like_journal

    # Those of runs' stages first: what lies beside their folders closes the runs.
    files = [path for pattern in ("*/*.jsonl", "*.jsonl") for path in sorted(Path(place).glob(pattern))]
    found = [str(path) for path in files if looks_like_journal(path)]
    if not found:
        raise UsageError(
            f"{place} holds no tracking buffers; give the file that a stage's warning named, or the folder `tracking` "
            "of a run's workspace."
        )
    return found


def reproduce(
    run_id: Annotated[str, typer.Argument(help="MLflow run of an evolution, or of anything nested in it.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of the new run on this machine.")] = "",
    compile_only: Annotated[
        str, typer.Option(help="Write the compiled pipeline to this file, local or s3://, and run nothing.")
    ] = "",
    image: Annotated[str | None, typer.Option(help="Image of the compiled pipeline's components.")] = None,
    quiet: Quiet = False,
) -> None:
    """Compile the pipeline of an evolution anew from what MLflow keeps of it, and run it on this machine.

    Example: [bold]agent0 reproduce 0b1d5c5e3d0f4b0c9a7e6f5d4c3b2a10 --output runs/again[/bold]

    With --compile-only it is written for Kubeflow instead. The same settings, seed and code give the same results;
    where the installed code is not the one that ran, a warning says so.
    """
    require("kfp", "mlflow") if compile_only else require(*EVOLUTION)
    from agent0.cli.local_run import run_on_screen
    from agent0.kubeflow.compile_options import CompileOptions
    from agent0.stages.opening import Beginning
    from agent0.storage.digest import code_version
    from agent0.storage.uri_files import write_file
    from agent0.tracking.recipe_of_run import recipe_of
    from agent0.tracking.tracking_location import tracking_uri
    from agent0_kfp.pipelines.evolution import compile_evolution
    from agent0_kfp.pipelines.local_evolution import LocalEvolution

    found = recipe_of(tracking_uri(), run_id)
    if found.code_version != code_version():
        warn(
            f"run {found.run_id} was made by code {found.code_version}, and this is {code_version()}; "
            "the results may differ."
        )
    begun = " ".join(f"{PARAMETERS.get(name, name)}={value}" for name, value in found.beginning.items() if value)
    if compile_only:
        options = CompileOptions.parse({**found.options, **({"image": image} if image else {})})
        with write_file(compile_only) as path:
            compile_evolution(found.config, path, options)
        print(f"{compile_only}: evolution, {found.config.iterations} iterations, recipe {found.config.recipe}")
        if begun:
            print(f"It went on with an earlier evolution; start it with {begun}")
        return
    folder = run_folder(output or f"runs/reproduced-{found.run_id[:8]}")
    run = LocalEvolution.create(folder, found.config, tracking_uri(), Beginning(**found.beginning))
    with interruptible(f"{SENTENCE} Go on with: agent0 evolve --output {shlex.quote(str(folder))} --resume"):
        run_on_screen(run, quiet=quiet)
