"""`agent0 config`: the settings of a recipe, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent0.cli.shared_options import Ablations, Overrides, Recipe

if TYPE_CHECKING:
    from agent0.config.explanation import SectionMeaning, Setting


def config(
    name: Annotated[str, typer.Argument(help="Section or setting, such as executor.adpo; all if not given.")] = "",
    recipe: Recipe = "tiny",
    overrides: Overrides = None,
    ablations: Ablations = None,
    explain: Annotated[
        bool, typer.Option("--explain", "-e", help="Say what each setting means, what it may be, and its source.")
    ] = False,
) -> None:
    """Print the settings of a recipe as JSON, or explain them.

    Example: [bold]agent0 config --recipe qwen3-8b --ablation grpo[/bold]

    Example: [bold]agent0 config executor.adpo --explain[/bold]
    """
    from agent0.config.explanation import chosen, value_at
    from agent0.consistency import read_settings

    sections, values = chosen(name), read_settings(recipe, overrides, ablations).model_dump(mode="json")
    print("\n".join(_lines(sections, values)).strip() if explain else json.dumps(value_at(values, name), indent=2))


def _lines(sections: Sequence[SectionMeaning], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings with their values in a configuration, as plain lines that a reader may search."""
    from agent0.config.explanation import value_at

    for section in sections:
        if section.name:
            yield f"\n[{section.name}]  {section.description}"
        for setting in section.settings:
            yield from _of_setting(setting, value_at(values, setting.name))


def _of_setting(setting: Setting, value: Any) -> Iterator[str]:
    default = json.loads(json.dumps(setting.default))
    changed = "" if value == default else f"   (default {json.dumps(default)})"
    yield f"\n{setting.name} = {json.dumps(value)}{changed}"
    yield f"    {setting.description}"
    yield f"    {setting.allowed}; source: {setting.source}"
