"""Extension points: what another package gives by an entry point, or a setting names as `package.module:NAME`.

One way for all kinds. A package lists its own under the point's group (`NAME = "package.module:OBJECT"`); names of
Agent0's own cannot be taken, and one that two packages give is refused, since which of them is meant nobody could say.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from importlib.metadata import entry_points
from typing import Any, Generic, ParamSpec, TypeVar, cast

from agent0.errors import Agent0Error, NotInstalledError, UsageError, reason_of
from agent0.extras import extra_of, not_installed

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
_PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class ExtensionPoint(Generic[T]):
    """One kind of thing that packages give.

    Attributes:
        group: of the entry points.
        noun: what one is, within a sentence.
        kind: the type that it has.
        wanted: that type, within a sentence.
        own: places of what Agent0 gives itself, by name.
    """

    group: str
    noun: str
    kind: Any
    wanted: str
    own: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the names that there are, sorted."""
        return sorted({*self.own, *_given(self.group)})

    def has(self, name: str) -> bool:
        """Whether `name` is one of them, or a place."""
        return name in self.own or name in _given(self.group) or is_place(name)

    def place(self, name: str) -> str:
        """Return where `name` lies, as package.module:NAME; what is no name is taken for a place.

        Raises:
            UsageError: there is none, or several.
        """
        own = (self.own[name],) if name in self.own else ()
        places = list(dict.fromkeys([*own, *_given(self.group).get(name, ())]))
        if len(places) > 1:
            raise UsageError(
                f"Each of {' and '.join(places)} is given as the {self.noun} {name!r}; uninstall all packages but one "
                "that give it, or let them choose other names."
            )
        if not places and not is_place(name):
            raise NotInstalledError(self.missing(name))
        return places[0] if places else name

    def find(self, name: str) -> T:
        """Return what is called `name`, by its entry point or its place.

        Raises:
            UsageError: there is none or several, it cannot be imported, or it is of another kind.
        """
        place = self.place(name)
        found = load_object(f"The {self.noun} {name}", place)
        if not isinstance(found, self.kind):
            raise UsageError(f"{place} is no {self.wanted} but {type(found).__name__}; name the {self.noun} itself.")
        return cast(T, found)

    def check(self, name: str) -> None:
        """Check that `name` can be found; what is Agent0's own is not imported for that.

        Raises:
            UsageError: see `find`.
        """
        if self.place(name) != self.own.get(name):
            self.find(name)

    @contextmanager
    def blamed(self, name: str, part: str = "") -> Iterator[None]:
        """Tell what a package's own code raises in the block as a sentence that names it, and the part that failed.

        Raises:
            Agent0Error: instead of whatever was raised, which is its cause.
        """
        try:
            yield
        except Agent0Error:
            raise
        except (Exception, SystemExit) as error:  # a package's own code may raise anything
            if name in self.own:
                raise
            where = f" in {part}" if part else ""
            raise Agent0Error(
                f"The {self.noun} {name} failed{where} ({type(error).__name__}: {reason_of(error)}); correct it, or do "
                "without it."
            ) from error

    def blaming(self, name: str, part: str, call: Callable[P, R]) -> Callable[P, R]:
        """Return a package's function, what it raises told as `blamed` does."""

        @wraps(call)
        def called(*arguments: P.args, **named: P.kwargs) -> R:
            with self.blamed(name, part):
                return call(*arguments, **named)

        return called

    def missing(self, name: str) -> str:
        """Return the sentence that there is no such thing, and what to write."""
        close = difflib.get_close_matches(name, self.names(), n=1, cutoff=0.5)
        near = f"did you mean {close[0]!r}?" if close else f"installed are {', '.join(self.names()) or 'none'}."
        return f"There is no {self.noun} {name!r}; name one as package.module:NAME, or by its entry point: {near}"


def is_place(name: str) -> bool:
    """Whether `name` has the form package.module:NAME."""
    return _PLACE.fullmatch(name) is not None


def load_object(told: str, place: str) -> Any:
    """Return what lies at `package.module:NAME`, be it of this package or of another.

    Args:
        told: what it should be, as a sentence begins.
        place: where it lies.

    Raises:
        NotInstalledError: it cannot be imported, or what it needs is not installed.
        UsageError: its module says itself that it is not usable.
    """
    module, _, attribute = place.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Agent0Error as error:
        kind = NotInstalledError if isinstance(error, NotInstalledError) else UsageError
        raise kind(f"{told} is not usable: {error}") from error
    except (Exception, SystemExit) as error:  # a package's own code may raise anything
        if isinstance(error, ModuleNotFoundError) and extra_of(error.name or ""):
            raise NotInstalledError(f"{told} is not usable: {not_installed(str(error.name))}") from error
        raise NotInstalledError(
            f"{told} cannot be imported from {place} ({type(error).__name__}: {reason_of(error)}); install its package "
            "where this runs, or correct the module."
        ) from error


@cache
def _given(group: str) -> Mapping[str, tuple[str, ...]]:
    """Return the places that installed packages give in a group, by name."""
    found: dict[str, list[str]] = {}
    for entry in entry_points(group=group):
        if entry.value not in found.setdefault(entry.name, []):
            found[entry.name].append(entry.value)
    return {name: tuple(places) for name, places in found.items()}
