"""`agent0 evolve`: a whole evolution on this machine, from a terminal."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from agent0.cli.interruption import SENTENCE, interruptible
from agent0.cli.shared_options import RECIPE_HELP, Ablations, Overrides, Quiet, complete_recipe, run_folder
from agent0.errors import UsageError
from agent0.extras import EVOLUTION, require


def evolve(
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", help=f"{RECIPE_HELP} Default: tiny.", autocompletion=complete_recipe),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder of the run on this machine.")
    ] = "runs/evolution",
    iterations: Annotated[int | None, typer.Option(help="Rounds of co-evolution; the recipe's if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the whole evolution; the recipe's if not given.")] = None,
    overrides: Overrides = None,
    ablations: Ablations = None,
    after: Annotated[
        str,
        typer.Option(
            "--from",
            help="Folder of another run: begin after its finished rounds, with its settings as other options change "
            "them.",
        ),
    ] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run a whole evolution on this machine, through the compiled pipeline.

    Example: [bold]agent0 evolve --seed 1 --output runs/first[/bold]

    The embedded recipe 'tiny' needs no download and no GPU. Interrupted? The same command with --resume goes on at
    the task that did not finish. A run keeps its settings; to change one and keep the finished rounds:

    Example: [bold]agent0 evolve --from runs/first --output runs/second --set executor.steps=20[/bold]
    """
    require(*EVOLUTION)
    from agent0.cli.local_run import run_on_screen
    from agent0.consistency import read_settings
    from agent0.stages.opening import Beginning
    from agent0.tracking.tracking_location import tracking_uri
    from agent0_kfp.pipelines.finished_rounds import begin_after
    from agent0_kfp.pipelines.local_evolution import LocalEvolution

    folder = run_folder(output)
    if resume:
        if recipe is not None or iterations is not None or seed is not None or overrides or ablations or after:
            raise UsageError(
                "--resume goes on with the run's own settings; leave out --recipe, --iterations, --seed, --set, "
                f"--ablation, or begin another run after its finished rounds: --from {output} --output …"
            )
        run = LocalEvolution.resume(folder)
    else:
        if after and recipe is not None:
            raise UsageError("--from takes the settings of that run, so no --recipe; change single ones with --set.")
        settings, beginning = begin_after(run_folder(after)) if after else (recipe or "tiny", Beginning())
        fixed = [f"{name}={value}" for name, value in (("iterations", iterations), ("seed", seed)) if value is not None]
        config = read_settings(settings, [*(overrides or []), *fixed], ablations)
        run = LocalEvolution.create(folder, config, tracking_uri(), beginning)
    with interruptible(f"{SENTENCE} Go on with: agent0 evolve --output {shlex.quote(str(folder))} --resume"):
        run_on_screen(run, quiet=quiet)
