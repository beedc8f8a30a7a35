"""Finding a domain by name."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

from agent0.domains.domain import Domain, WorkedTask
from agent0.errors import UsageError
from agent0.plugin_finder import ExtensionPoint

DOMAINS: ExtensionPoint[Domain] = ExtensionPoint("agent0.domains", "domain", Domain, "agent0.domains.Domain")


def domain_names() -> list[str]:
    """Return the names that installed packages give to their domains, sorted."""
    return DOMAINS.names()


@cache
def get_domain(name: str) -> Domain:
    """Return the domain called `name`: an entry point's name, or `package.module:NAME`.

    Raises:
        UsageError: there is none, it cannot be imported, or what is found is no domain.
    """
    return DOMAINS.find(name)


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
