"""Finding a domain by name."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from functools import cache, wraps
from types import NoneType
from typing import Any

from agent0.domains.domain import Domain, WorkedTask
from agent0.domains.verification import Examined, Verifier
from agent0.errors import UsageError
from agent0.plugin_finder import ExtensionPoint

DOMAINS: ExtensionPoint[Domain] = ExtensionPoint("agent0.domains", "domain", Domain, "agent0.domains.Domain")
_RETURNED: dict[str, tuple[type, ...]] = {
    "rejection": (str, NoneType),
    "known_answer": (str, NoneType),
    "held_out": (object,),
    "draw": (WorkedTask,),
    "on_topic": (object,),
    "posed": (str,),
    "examine": (Examined,),
    "accepts": (object,),
}
"""What a domain's functions, and its verifier's, return; anything is true or false."""


def domain_names() -> list[str]:
    """Return the names that installed packages give to their domains, sorted."""
    return DOMAINS.names()


@cache
def get_domain(name: str) -> Domain:
    """Return the domain called `name`: an entry point's name, or `package.module:NAME`.

    What its functions raise, or return that is of another kind, is an `Agent0Error` that names it.

    Raises:
        UsageError: there is none, it cannot be imported, or what is found is no domain.
    """
    domain = DOMAINS.find(name)
    given: dict[str, Any] = {
        part.name: _blamed(name, part.name, getattr(domain, part.name))
        for part in fields(domain)
        if part.name in _RETURNED and getattr(domain, part.name) is not part.default
    }
    return replace(domain, **given, verifier=domain.verifier and _blamed_verifier(name, domain.verifier))


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


def _blamed(name: str, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def called(*arguments: Any) -> Any:
        return _returned(part, call(*arguments))

    return DOMAINS.blaming(name, part, called)


def _blamed_verifier(name: str, verifier: Verifier) -> Verifier:
    def blamed(part: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(call)
        async def called(*arguments: Any) -> Any:
            with DOMAINS.blamed(name, part):
                return _returned(part, await call(*arguments))

        return called

    return Verifier(blamed("examine", verifier.examine), blamed("accepts", verifier.accepts))


def _returned(part: str, value: Any) -> Any:
    if not isinstance(value, _RETURNED[part]):
        wanted = " or ".join("None" if kind is NoneType else kind.__name__ for kind in _RETURNED[part])
        raise TypeError(f"it returned {value!r:.100}, and not {wanted}")
    return value
