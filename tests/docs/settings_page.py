"""docs/settings.md, made of the settings themselves: `make settings` writes it anew; a test compares the text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from agent0.config.explanation import SectionMeaning, Setting, explained
from agent0.recipes import purposes

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
HEAD = """\
<!-- Written by `make settings`; change the descriptions in agent0/config instead. -->

# Settings

Every setting of an evolution and of an evaluation, with its default, what it may be, and where the default comes from:
`paper` is arXiv 2511.16043, `official code` its repository at commit 3cf8bfe, `ours` is chosen here. On a terminal:

```sh
agent0 config executor.adpo --explain        # a section or a setting, with the values of a recipe
agent0 config --recipe qwen3-8b              # all values of a recipe, as JSON
agent0 evolve --set executor.steps=20        # one value changed; any command that takes a recipe takes --set
```

A recipe is a named set of values: a file of `agent0/recipes/`, or a TOML file of your own with the sections below as
tables. Unknown names are refused, and so are values that contradict each other.

| recipe | for |
| --- | --- |
"""
COLUMNS = """\
| setting | default | may be | meaning | source |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the whole page."""
    recipes = "".join(f"| `{name}` | {purpose} |\n" for name, purpose in purposes().items())
    shown: dict[str, str] = {}
    return HEAD + recipes + "".join(text for section in explained() for text in _section(section, shown))


def _section(section: SectionMeaning, shown: dict[str, str]) -> Iterator[str]:
    rows = "".join(map(_row, section.settings))
    title = f"`{section.name}`" if section.name else "Of no section"
    if not rows:
        return
    same = shown.setdefault(rows.replace(f"`{section.name}.", "`"), section.name)
    yield f"\n## {title}\n\n"
    if same != section.name:
        yield f"As [`{same}`](#{same.replace('.', '')}).\n"
        return
    yield f"{section.description}\n\n{COLUMNS}"
    yield rows


def _row(setting: Setting) -> str:
    default = f"`{json.dumps(setting.default)}`"
    cells = (f"`{setting.name}`", default, setting.allowed, setting.description, setting.source)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
