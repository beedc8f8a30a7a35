"""Recipes: named sets of settings, as TOML."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Measured:
    """Minutes that a recipe took as it is, until its first round and for each round, and on what."""

    before: float
    each_round: float
    machine: str


MEASURED: Mapping[str, Measured] = {
    "smollm2": Measured(15.0, 12.0, "two CPU cores"),  # docs/results.md: 52 with a kill between, beside tests
    "tiny": Measured(1.0, 1.0, "two CPU cores"),
}
"""What whole runs took, by recipe; of the others none is known."""


def recipe_names() -> list[str]:
    """Names of the recipes that the package ships, sorted."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in (resources.files("agent0") / "recipes").iterdir()
        if entry.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """Return the TOML of a recipe that the package ships."""
    return (resources.files("agent0") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def purposes() -> dict[str, str]:
    """Return what each recipe is for, by name: the first sentence of its file."""
    return {name: _first_sentence(recipe_text(name)) for name in recipe_names()}


def _first_sentence(text: str) -> str:
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    whole = " ".join(line.removeprefix("#").strip() for line in comment)
    return re.split(r"\.\s|\.$", whole, maxsplit=1)[0]
