"""The one way to a page: a template that extends `page.html.j2` in the parts of `parts.html.j2`, filled in.

A page is one self-contained HTML file: no script, no network, no file beside it; styles and figures are inline, light
and dark follow the reader's setting, and it reads the same in MLflow's artifact viewer, from a disk and on paper. The
same records give the same bytes. Nothing here knows what a page shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from agent0.nested_values import leaves
from agent0.progress import duration
from agent0.report import intervals, wording


def page(
    name: str,
    *folders: Path,
    figures: Mapping[str, str | None] | None = None,
    notes: Mapping[str, str] | None = None,
    **values: Any,
) -> str:
    """A whole page, with escaping on and undefined names as errors.

    Args:
        name: of the template.
        folders: where it lies, if not here.
        figures: SVG elements by name; None where there is nothing to draw.
        notes: what each of them rests on.
        values: everything else that the template names.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": intervals.percent, "duration": duration, "utc": utc}
    drawn = {figure: Markup(svg) for figure, svg in (figures or {}).items() if svg is not None}
    environment.globals |= {"wording": wording, "intervals": intervals, "figures": drawn, "notes": notes or {}}
    return environment.get_template(name).render(values)


def flatten(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings by dotted name, strings as they are and all else as JSON; empty tables are left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        for name, value in leaves(settings)
        if value != {}
    }


def utc(seconds: float) -> str:
    """Unix seconds such as '2026-01-31 12:00 UTC'."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
