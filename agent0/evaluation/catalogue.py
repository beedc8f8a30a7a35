"""The benchmarks by name: those that are listed here, and those that a prefix stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from agent0.errors import UsageError
from agent0.evaluation import domain_benchmark, gym
from agent0.evaluation.bbeh import BBEH, BBEH_MINI
from agent0.evaluation.choice import MMLU_PRO, SUPER_GPQA
from agent0.evaluation.mathematics import AIME_2024, AIME_2025, AMC_2023, GSM8K, MATH, MATH_500, MINERVA_MATH, OLYMPIAD
from agent0.evaluation.spec import Benchmark, Item, number_items
from agent0.evaluation.tiny import TINY
from agent0.types import KnownTask

BENCHMARKS: tuple[Benchmark, ...] = (
    AMC_2023,
    MINERVA_MATH,
    MATH_500,
    MATH,
    GSM8K,
    OLYMPIAD,
    AIME_2025,
    AIME_2024,
    SUPER_GPQA,
    MMLU_PRO,
    BBEH,
    BBEH_MINI,
    TINY,
)

PREFIXES: Mapping[str, Callable[[str], Benchmark]] = {
    gym.PREFIX: gym.gym_benchmark,
    domain_benchmark.PREFIX: domain_benchmark.domain_benchmark,
}
"""What resolves the names that begin with a prefix, each given whole."""


def is_benchmark(name: str) -> bool:
    """Return whether `name` names a benchmark, not a file; one with a prefix may still not exist."""
    return name.startswith(tuple(PREFIXES)) or any(known.name == name for known in BENCHMARKS)


def benchmark(name: str) -> Benchmark:
    """Return the benchmark called `name`.

    Raises:
        UsageError: there is none, or what makes it is not installed.
    """
    for candidate in BENCHMARKS:
        if candidate.name == name:
            return candidate
    for prefix, resolve in PREFIXES.items():
        if name.startswith(prefix):
            return resolve(name)
    known = ", ".join([*(b.name for b in BENCHMARKS), *(f"{prefix}NAME" for prefix in PREFIXES)])
    raise UsageError(f"There is no benchmark {name!r}; there are {known}.")


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
