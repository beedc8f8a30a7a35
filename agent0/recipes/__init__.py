"""Recipes: named sets of settings, as TOML."""
