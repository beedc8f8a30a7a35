"""Recipes: named sets of settings, as TOML."""

from importlib import resources


def recipe_names() -> list[str]:
    """Names of the recipes that the package ships, sorted."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in (resources.files("agent0") / "recipes").iterdir()
        if entry.name.endswith(".toml")
    )
