"""What the pages share: their templates, times, settings as text. Nothing here knows what a page shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from agent0.report import wording


def template(name: str, *folders: Path) -> jinja2.Template:
    """A template of the given folders or of this one, with escaping on and undefined names as errors."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": wording.percent, "duration": wording.duration, "utc": utc}
    return environment.get_template(name)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings by dotted name, strings as they are and all else as JSON."""
    rows: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows |= flatten(value, f"{prefix}{name}.")
        else:
            plain = isinstance(value, str)
            rows[prefix + name] = value if plain else json.dumps(value, ensure_ascii=False, default=str)
    return rows


def utc(seconds: float) -> str:
    """Unix seconds such as '2026-01-31 12:00 UTC'."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
