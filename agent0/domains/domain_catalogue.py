"""Finding a domain by name."""

from __future__ import annotations

import difflib
import importlib
import random
import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from agent0.domains.domain import Domain, WorkedTask
from agent0.errors import Agent0Error, NotInstalledError, UsageError

GROUP = "agent0.domains"
_OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def domain_names() -> list[str]:
    """Return the names that installed packages give to their domains, sorted."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def place_of(name: str) -> str:
    """Return where a domain lies, as package.module:NAME; a name that no package gives is taken for that itself."""
    return next((entry.value for entry in entry_points(group=GROUP) if entry.name == name), name)


@cache
def get_domain(name: str) -> Domain:
    """Return the domain called `name`: an entry point's name, or `package.module:NAME`.

    Raises:
        UsageError: there is none, it cannot be imported, or what is found is no domain.
    """
    places = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    place = places.get(name, name)
    if not _OBJECT.fullmatch(place):
        close = difflib.get_close_matches(name, places, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"installed are {', '.join(sorted(places)) or 'none'}."
        raise NotInstalledError(
            f"There is no domain {name!r}; name one as package.module:NAME, or by its entry point: {hint}"
        )
    found = load_object(f"The domain {name}", place)
    if not isinstance(found, Domain):
        raise UsageError(f"{place} is no agent0.domains.Domain but {type(found).__name__}; name the Domain itself.")
    return found


def load_object(told: str, place: str) -> Any:
    """Return what lies at `package.module:NAME`, be it of this package or of another.

    Args:
        told: what it should be, as a sentence begins.
        place: where it lies.

    Raises:
        NotInstalledError: it cannot be imported.
        UsageError: its module says itself that it is not usable.
    """
    module, _, attribute = place.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Agent0Error as error:
        raise UsageError(f"{told} is not usable: {error}") from error
    except Exception as error:  # a package's own code may raise anything
        raise NotInstalledError(
            f"{told} cannot be imported from {place} ({type(error).__name__}: {error}); install its package where this "
            "runs, or correct the module."
        ) from error


def task_writer(name: str) -> Callable[[random.Random], WorkedTask]:
    """Return the program that writes tasks of the domain called `name`, to demonstrate them.

    Raises:
        UsageError: there is no such domain, or it has none.
    """
    draw = get_domain(name).draw
    if draw is None:
        raise UsageError(
            f"No program writes tasks of the domain {name}, so there is nothing to demonstrate; set "
            "warm_start.source to 'own', or give the domain a draw."
        )
    return draw
