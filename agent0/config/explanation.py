"""What each setting means, what it may be and where it comes from, read off the models themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent0.config.evolution import Config
from agent0.config.kinds import bounds, in_words
from agent0.config.loader import field_paths, nearest
from agent0.errors import UsageError, shortened

OURS = "ours"
_SOURCES = {
    "paper": r"(?<!')\b[Pp]aper\b(?!')",
    "official code": r"\b[Oo]fficial [a-z ]*(?:code|script)\b",
    "": r"arXiv \d{4}\.\d{5}",
}
"""How descriptions name their sources; what has no word of its own here is quoted."""


@dataclass(frozen=True)
class Setting:
    """A field: `name` as `--set` takes it, its default, what it may be, what it means, and where that comes from."""

    name: str
    default: Any
    allowed: str
    description: str
    source: str


@dataclass(frozen=True)
class SectionMeaning:
    """A section: its name (empty: of the settings in none), what it is about, and the settings directly in it."""

    name: str
    description: str
    settings: tuple[Setting, ...]


def explained(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[SectionMeaning]:
    """Yield every section, a nested one after the one that it lies in, with what its fields say of themselves."""
    fields = {f"{prefix}{name}": field for name, field in model.model_fields.items()}
    sections = {name: nested for name, field in fields.items() if (nested := section_of(field)) is not None}
    settings = tuple(_setting(name, field) for name, field in fields.items() if name not in sections)
    yield SectionMeaning(prefix.rstrip("."), " ".join((model.__doc__ or "").split()), settings)
    for name, nested in sections.items():
        yield from explained(nested, f"{name}.")


def chosen(name: str) -> list[SectionMeaning]:
    """Return a section with those in it, or the one setting of that name; all of them if it is empty.

    Raises:
        UsageError: there is no such section or setting; names the nearest.
    """
    everything = list(explained())
    single = [replace(part, settings=tuple(s for s in part.settings if s.name == name)) for part in everything]
    found = [part for part in everything if not name or f"{part.name}.".startswith(f"{name}.")]
    found = found or [part for part in single if part.settings]
    if not found:
        raise UsageError(f"There is no setting {shortened(name)!r}{nearest(name, field_paths(Config))}")
    return found


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a section; None of a single setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def value_at(values: Mapping[str, Any], name: str) -> Any:
    """Return what a dumped configuration says of a setting or section, by its dotted name; all of it if empty."""
    found: Any = values
    for part in name.split(".") if name else ():
        found = found[part]
    return found


def _setting(name: str, field: FieldInfo) -> Setting:
    description = field.description or ""
    found = [source or said for source, form in _SOURCES.items() for said in re.findall(form, description)]
    default = field.get_default(call_default_factory=True)
    return Setting(name, default, _allowed(field), description, ", ".join(dict.fromkeys(found)) or OURS)


def _allowed(field: FieldInfo) -> str:
    return ", ".join([in_words(field.annotation), *bounds(field.metadata)])
