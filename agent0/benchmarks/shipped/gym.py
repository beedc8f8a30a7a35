"""The families of reasoning-gym as benchmarks: `gym:chain_sum` and so on, and `gym:small` for small models.

A family is whatever the installed package registers (`agent0[gym]`, Apache-2.0), with the package's own defaults. Its
questions are made here, from one seed, and judged by the package's own verifier. `gym_questions` makes them,
`gym_verifier` judges; nothing of the package is imported before a family is asked for.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
from collections.abc import Sequence
from importlib import metadata

from agent0.answers.normalisation import exact_rational, normalise
from agent0.benchmarks.generated import generated_benchmark
from agent0.benchmarks.gym_questions import Order, make
from agent0.benchmarks.gym_verifier import VERIFIED
from agent0.benchmarks.spec import QUESTION_SEED, Benchmark, Item
from agent0.benchmarks.votes import spelling_vote
from agent0.errors import NotInstalledError, UsageError
from agent0.extras import installing

PREFIX = "gym:"
SETS = {
    "small": (
        "chain_sum",
        "basic_arithmetic",
        "products",
        "simple_equations",
        "gcd",
        "lcm",
        "leg_counting",
        "gsm_symbolic",
    )
}
"""Families that are one benchmark; those of `small` have numbers for answers and short questions."""
PROBE_SEED = QUESTION_SEED + 1_000_000  # the package makes question i from seed + i


def resolve(name: str) -> Benchmark:
    """Return the benchmark `gym:NAME`, NAME being a set or a family of the installed package.

    Raises:
        UsageError: the package is not installed, or it has no such family.
    """
    _require_package()
    short = name.removeprefix(PREFIX)
    if short not in SETS and short not in families():
        near = difflib.get_close_matches(short, [*SETS, *families()], n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(PREFIX + close for close in near)}? " if near else ""
        raise UsageError(
            f"reasoning-gym has no family {short!r}; {hint}`agent0 benchmarks list --gym` names all {len(families())}."
        )
    chosen = SETS.get(short, (short,))
    return generated_benchmark(
        name=name,
        title=f"reasoning-gym {short}",
        family="reasoning-gym",
        split="generated",
        licence="Apache-2.0",
        generator=f"reasoning-gym {metadata.version('reasoning-gym')}",
        groups=len(chosen),
        breakdown="family",
        rule=VERIFIED,
        vote=spelling_vote,
        generate=functools.partial(_questions, chosen),
        probes=functools.partial(_probes, chosen),
        notes=("Half of all questions, chosen by their text, are kept for probes (execution.known_tasks).",),
    )


@functools.cache
def families() -> tuple[str, ...]:
    """Return the names of all families that the package can make by themselves, sorted.

    Raises:
        UsageError: the package is not installed.
    """
    return tuple(sorted(categories()))


@functools.cache
def categories() -> dict[str, str]:
    """Return the package's own category of each family: arithmetic, logic, games and so on.

    Raises:
        UsageError: the package is not installed.
    """
    _require_package()
    from reasoning_gym.factory import DATASETS

    return {
        name: dataset.__module__.split(".")[1]
        for name, (dataset, settings) in DATASETS.items()
        if _stands_alone(settings)
    }


def _stands_alone(settings: type) -> bool:
    """Whether a family's defaults are valid: a family made of others (`composite`) wants to be told which."""
    check = getattr(settings, "validate", None)  # not all have one; the package asks the same way
    try:
        if check is not None:
            check(settings())
    except AssertionError:  # the package checks settings by assertions
        return False
    return True


def is_installed() -> bool:
    """Return whether the package is there; nothing is imported."""
    return importlib.util.find_spec("reasoning_gym") is not None


def _require_package() -> None:
    if not is_installed():
        raise NotInstalledError(
            "Benchmarks gym:NAME are made by reasoning-gym, which is not installed; "
            f"{installing('gym')}, or leave them out."
        )


@functools.cache
def _made(orders: tuple[Order, ...]) -> tuple[Item, ...]:
    return tuple(
        Item(
            made.question,
            made.answer,
            groups={"family": made.family},
            id=f"{made.family}-{made.index:05d}",
            entry=made.entry,
        )
        for made in make(orders)
    )


def _questions(chosen: Sequence[str], per_family: int) -> list[Item]:
    """Return so many held-out questions of each family; always the same.

    Raises:
        BenchmarkError: a family cannot be made, or has not so many.
    """
    return list(_made(tuple(Order(family, QUESTION_SEED, per_family, probes=False) for family in chosen)))


def _probes(chosen: Sequence[str], count: int) -> list[Item]:
    """Return `count` questions in all that are never held out, each family in equal parts.

    The vote is audited by the grader that makes it, which knows numbers, not a family's own notation.

    Raises:
        UsageError: a family's answers are not numbers.
        BenchmarkError: a family cannot be made, or has not so many.
    """
    shares = [count // len(chosen) + (place < count % len(chosen)) for place in range(len(chosen))]
    orders = [Order(f, PROBE_SEED, share, probes=True) for f, share in zip(chosen, shares, strict=True) if share]
    items = list(_made(tuple(orders)))
    for item in items:
        if exact_rational(normalise(item.gold)) is None:
            raise UsageError(
                f"gym:{item.groups['family']} has answers that are not numbers, such as {item.gold[:40]!r}, which the "
                "grader of the vote cannot judge; name other families in execution.known_tasks."
            )
    return items
