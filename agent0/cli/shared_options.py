"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from agent0.ablations import ABLATIONS
from agent0.errors import UsageError
from agent0.recipes import recipe_names
from agent0.storage.uri import parse

RECIPE_HELP = f"Recipe: {', '.join(recipe_names())}, or a .toml file, local or s3://."
ABLATION_HELP = "Leave out a part of the method; `agent0 ablations` lists them. May be given several times."
SET_HELP = "Override a setting, e.g. --set executor.steps=20. A list has commas. May be given several times."

SILENT = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""By which other libraries, here and in processes of ours, show no progress either."""


def begin_with(words: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what gives a shell the words that begin as the one that is being typed."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _quieten(quiet: bool) -> bool:
    if quiet:
        os.environ.update(SILENT)
    return quiet


def _settings(incomplete: str) -> list[str]:
    """Return the settings that a word of `--set` may become."""
    from agent0.config import Config  # a shell asks for it, and no command
    from agent0.config.loader import field_paths

    return [f"{path}=" for path in field_paths(Config) if path.startswith(incomplete)]


complete_recipe = begin_with(recipe_names())
Recipe = Annotated[str, typer.Option("--recipe", "-r", help=RECIPE_HELP, autocompletion=complete_recipe)]
Overrides = Annotated[list[str] | None, typer.Option("--set", "-s", help=SET_HELP, autocompletion=_settings)]
Ablations = Annotated[
    list[str] | None,
    typer.Option("--ablation", "-a", help=ABLATION_HELP, autocompletion=begin_with(ABLATIONS)),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_quieten, help="Show no progress, only the result.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run_folder(place: str) -> Path:
    """Return the folder that an evolution of this machine shall work in.

    Raises:
        UsageError: it is in S3, or no folder that can be written to.
    """
    from agent0.storage.uri_files import require_folder  # every command imports this module

    if parse(place).bucket is not None:
        raise UsageError(
            f"{place} cannot be the folder of a run of this machine: its finished tasks and the models that it "
            "registers are found there by their paths. Name a local --output and store that when the run has ended "
            "(docs/storage.md), or run on Kubeflow, whose artifacts lie in S3 (agent0 pipeline run)."
        )
    require_folder(Path(place))
    return Path(place)
