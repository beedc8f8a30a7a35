"""Recipes: named sets of settings, as TOML."""

import itertools
import re
from importlib import resources


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
