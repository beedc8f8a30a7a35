"""The benchmarks by name: the files of `agent0.benchmarks.shipped`, and what other packages give.

A package gives its own in the group `agent0.benchmarks`: `NAME = "package.module:BENCHMARK"`, a `Benchmark` so named.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from agent0.benchmarks import shipped
from agent0.benchmarks.spec import Benchmark, Item, Protocol, Rule, number_items
from agent0.errors import UsageError
from agent0.plugin_finder import ExtensionPoint
from agent0.types import KnownTask

_FILES = [importlib.import_module(f"{shipped.__name__}.{file.name}") for file in pkgutil.iter_modules(shipped.__path__)]
BENCHMARKS: tuple[Benchmark, ...] = tuple(known for file in _FILES for known in getattr(file, "BENCHMARKS", ()))
PREFIXES: Mapping[str, Callable[[str], Benchmark]] = {
    file.PREFIX: file.resolve for file in _FILES if hasattr(file, "PREFIX")
}
"""What resolves the names that begin with a prefix, each given whole."""
_OWN = {known.name: known for known in BENCHMARKS}
GIVEN: ExtensionPoint[Benchmark] = ExtensionPoint(
    "agent0.benchmarks",
    "benchmark",
    Benchmark,
    "agent0.benchmarks.spec.Benchmark",
    dict.fromkeys([*_OWN, *(f"{prefix}NAME" for prefix in PREFIXES)], f"{shipped.__name__}:BENCHMARKS"),
)


def is_benchmark(name: str) -> bool:
    """Return whether `name` names a benchmark, not a file; one with a prefix may still not exist."""
    return name.startswith(tuple(PREFIXES)) or GIVEN.has(name)


def benchmark(name: str) -> Benchmark:
    """Return the benchmark called `name`; what another package's raises is an `Agent0Error` that names it.

    Raises:
        UsageError: there is none, or what makes it is not installed.
    """
    for prefix, resolve in PREFIXES.items():
        if name.startswith(prefix):
            return resolve(name)
    if not GIVEN.has(name):  # a name mistyped is likelier than a package that only the server has
        raise UsageError(GIVEN.missing(name))
    GIVEN.place(name)
    return _OWN[name] if name in _OWN else _of_another_package(name)


def _of_another_package(name: str) -> Benchmark:
    found = GIVEN.find(name)
    if found.name != name:
        raise UsageError(
            f"{GIVEN.place(name)} calls itself {found.name!r}, and records would name it so; let its name be {name!r}."
        )
    return replace(
        found,
        vote=GIVEN.blaming(name, "vote", found.vote),
        generate=found.generate and GIVEN.blaming(name, "generate", found.generate),
        probes=found.probes and GIVEN.blaming(name, "probes", found.probes),
        protocols={preset: _blaming(name, protocol) for preset, protocol in found.protocols.items()},
    )


def _blaming(name: str, protocol: Protocol) -> Protocol:
    def blaming(rule: Rule) -> Rule:
        return replace(
            rule,
            extract=GIVEN.blaming(name, "extract", rule.extract),
            compare=GIVEN.blaming(name, "compare", rule.compare),
        )

    others = {title: blaming(rule) for title, rule in protocol.others.items()}
    return replace(protocol, rule=blaming(protocol.rule), others=others)


def known_tasks(name: str, count: int) -> list[KnownTask]:
    """Return `count` tasks with their answers that the benchmark makes and never asks itself.

    Raises:
        UsageError: there is no such benchmark, or its tasks cannot audit a vote.
    """
    entry = benchmark(name)
    if entry.probes is None:
        raise UsageError(
            f"The benchmark {name} makes no tasks beside those that it asks; name one such as gym:small, or a JSON "
            "Lines file, in execution.known_tasks."
        )
    return [KnownTask(question=item.question, answer=item.gold) for item in entry.probes(count)]


def generated_items(names: Sequence[str], per_group: int) -> Iterator[tuple[str, Item]]:
    """Yield (benchmark, question) of those of the named benchmarks that are generated, as an evaluation asks them."""
    for entry in map(benchmark, names):
        if entry.generate is not None:
            yield from ((entry.name, item) for item in number_items(entry.generate(per_group)))
