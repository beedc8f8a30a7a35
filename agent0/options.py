"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from agent0.config import recipe_names

RECIPE_HELP = f"Recipe: {', '.join(recipe_names())}, or a .toml file."
ABLATION_HELP = "Leave out a part of the method; `agent0 ablations` lists them. May be given several times."
SET_HELP = "Override a setting, e.g. --set executor.steps=20. May be given several times."

Recipe = Annotated[str, typer.Option("--recipe", "-r", help=RECIPE_HELP)]
Overrides = Annotated[list[str] | None, typer.Option("--set", "-s", help=SET_HELP)]
Ablations = Annotated[list[str] | None, typer.Option("--ablation", "-a", help=ABLATION_HELP)]
