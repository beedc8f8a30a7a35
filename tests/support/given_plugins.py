"""Entry points as if packages that give them were installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from agent0 import plugin_finder
from agent0.domains import get_domain

Give = Callable[..., None]
MODULE = "their_package"


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Iterator[Give]:
    """A function that installs entry points, given as (group, name, place), and what `their_package` holds."""
    entries: list[EntryPoint] = []
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr(
        plugin_finder, "entry_points", lambda group: [entry for entry in entries if entry.group == group]
    )

    def do(*given: tuple[str, str, str], **objects: Any) -> None:
        entries.extend(EntryPoint(name, place, group) for group, name, place in given)
        for name, thing in objects.items():
            setattr(module, name, thing)
        _forget()

    _forget()
    yield do
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    plugin_finder._given.cache_clear()
    get_domain.cache_clear()
