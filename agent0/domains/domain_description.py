"""A domain in words, for a terminal."""

from __future__ import annotations

import inspect
import random
import sys
import textwrap
from collections.abc import Iterator, Sequence

from agent0.config import PromptSettings, RolloutSettings
from agent0.domains.domain import Domain, Message
from agent0.domains.domain_catalogue import DOMAINS, domain_names, get_domain
from agent0.domains.prompts import get_prompts
from agent0.errors import UsageError

DRAWN_TASKS = 2


def rows() -> list[tuple[str, str, str, str, str]]:
    """Return the installed domains: name, place, whether truth is known, whether tasks are drawn, variants."""
    return [_row(name) for name in domain_names()]


def description(name: str, seed: int = 0) -> str:
    """Return what a domain asks of a model, two tasks of its program, and its rules.

    Args:
        name: of the domain.
        seed: of the tasks that are drawn.

    Raises:
        UsageError: there is no such domain, or it cannot be used.
    """
    return "\n".join(_lines(name, get_domain(name), seed))


def _row(name: str) -> tuple[str, str, str, str, str]:
    place = "?"
    try:
        place = DOMAINS.place(name)
        domain = get_domain(name)
    except UsageError:
        return (name, place, "?", "?", "broken")
    variants = ", ".join(sorted(domain.variants)) or "–"
    truth = "verified" if domain.labels == "verified" else _yes(domain.knows_truth)
    return (name, place, truth, _yes(domain.draw is not None), variants)


def _lines(name: str, domain: Domain, seed: int) -> Iterator[str]:
    place = DOMAINS.place(name)
    yield f"{name}, from {place}"
    yield from _documentation(sys.modules.get(place.partition(":")[0]))
    for variant in ("", *sorted(domain.variants)):
        rollout = RolloutSettings(domain=name, prompts=PromptSettings(variant=variant, worked=True))
        prompts = get_prompts(rollout)
        title = f"prompts {variant!r}" if variant else "prompts"
        yield f"\n{title} of the curriculum agent; worked examples only with rollout.prompts.worked"
        yield from _turns(prompts.propose())
        yield f"\n{title} of the executor agent"
        yield from _turns(prompts.executor)
    if domain.draw is not None:
        rng = random.Random(seed)
        for number in range(1, DRAWN_TASKS + 1):
            task = domain.draw(rng)
            yield f"\ntask {number} of its program{f', {task.group}' if task.group else ''}"
            yield from _indented("\n".join(filter(None, (task.question, task.program, task.answer))))
    yield "\nrules of a question"
    yield from _documentation(domain.rejection)


def _turns(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        yield f"  [{message['role']}]"
        yield from _indented(message["content"], "    ")


def _documentation(thing: object) -> Iterator[str]:
    yield from _indented(inspect.getdoc(thing) or "It says nothing of itself; give it a docstring.")


def _indented(text: str, indent: str = "  ") -> Iterator[str]:
    yield textwrap.indent(text, indent)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
