"""A domain as a benchmark: `domain:NAME` asks what the domain's program writes and holds out of training.

NAME is whatever `rollout.domain` may be: an installed domain or `package.module:NAME`. The questions are drawn from one
seed, so that every evaluation asks the same ones; those of another kind of task (`WorkedTask.group`) are counted apart.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from agent0.answers import majority_vote
from agent0.benchmarks.domain_verifier import verified_by
from agent0.benchmarks.generated import generated_benchmark
from agent0.benchmarks.mathematics_rules import BOXED
from agent0.benchmarks.spec import QUESTION_SEED, Benchmark, BenchmarkError, Item
from agent0.domains import Domain, WorkedTask, get_domain
from agent0.errors import UsageError

PREFIX = "domain:"
GROUP = "group"
_ONLY_GROUP = "all"
_LOOK = 2000
"""Draws in which every kind of task is taken to show itself."""
_TRIES = 200
"""Draws per question that is wanted, beyond the look: a kind may be rare, and its questions few."""


@functools.cache
def resolve(name: str) -> Benchmark:
    """Return the benchmark `domain:NAME`.

    Raises:
        UsageError: there is no such domain, or it has no program that writes tasks, or that program is not usable.
    """
    short = name.removeprefix(PREFIX)
    domain = get_domain(short)
    source = Source(short, domain)
    return generated_benchmark(
        name=name,
        title=f"Domain {short}",
        family="domain",
        split="held_out",
        licence="the domain's",
        generator=name,
        groups=len(source.groups()),
        breakdown=GROUP,
        rule=BOXED if domain.verifier is None else verified_by(domain.verifier),
        vote=majority_vote,
        generate=source.held_out,
        probes=source.probes,
    )


@dataclass(frozen=True)
class Source:
    """The tasks of a domain's program."""

    name: str
    domain: Domain

    def groups(self) -> tuple[str, ...]:
        """Return the kinds of tasks that are held out.

        Raises:
            UsageError: there is no program, it is not usable, or nothing that it writes is held out.
        """
        looked = list(islice(self._drawn(), _LOOK))
        if looked[:_TRIES] != list(islice(self._drawn(), _TRIES)):
            raise UsageError(
                f"The domain {self.name} draws other tasks from the same seed, so no evaluation could be compared with "
                "another; let its draw use the generator that it is given, and no other source of chance."
            )
        groups = {task.group or _ONLY_GROUP for task in looked if self.domain.held_out(task.question)}
        if not groups:
            raise UsageError(
                f"The domain {self.name} holds out none of {_LOOK} tasks that it draws, so {PREFIX}{self.name} has "
                "nothing to ask; give it a held_out such as agent0.domains.in_reserved_fifth."
            )
        return tuple(sorted(groups))

    def held_out(self, per_group: int) -> list[Item]:
        """Return `per_group` different held-out questions of each kind, by kind; always the same.

        Raises:
            BenchmarkError: a kind has not so many.
        """
        found: dict[str, dict[str, Item]] = {group: {} for group in self.groups()}
        for task in islice(self._drawn(), _LOOK + _TRIES * per_group * len(found)):
            items = found.get(task.group or _ONLY_GROUP)
            if items is not None and len(items) < per_group and self.domain.held_out(task.question):
                items.setdefault(task.question, _item(task))
            if all(len(items) == per_group for items in found.values()):
                return [item for items in found.values() for item in items.values()]
        few, items = min(found.items(), key=lambda pair: len(pair[1]))
        raise BenchmarkError(
            f"{PREFIX}{self.name} has {len(items)} different questions of {few}, and {per_group} are wanted; ask for "
            "fewer (evaluation.questions_per_level)."
        )

    def probes(self, count: int) -> list[Item]:
        """Return `count` different tasks that are not held out.

        Raises:
            BenchmarkError: there are not so many.
        """
        found: dict[str, Item] = {}
        for task in islice(self._drawn(), _LOOK + _TRIES * count):
            if not self.domain.held_out(task.question):
                found.setdefault(task.question, _item(task))
            if len(found) == count:
                return list(found.values())
        raise BenchmarkError(
            f"{PREFIX}{self.name} has {len(found)} tasks that are not held out, and {count} are wanted; ask for fewer "
            "(execution.known_count)."
        )

    def _drawn(self) -> Iterator[WorkedTask]:
        draw = self.domain.draw
        if draw is None:
            raise UsageError(
                f"The domain {self.name} has no draw, so no program writes the questions of {PREFIX}{self.name}; give "
                "it one, or evaluate on another benchmark (agent0 benchmarks list)."
            )
        rng = random.Random(QUESTION_SEED)
        while True:
            task = draw(rng)
            problem = self._problem(task)
            if problem:
                raise UsageError(f"The domain {self.name} drew {task!r:.200}, {problem}. Correct the one or the other.")
            yield task

    def _problem(self, task: WorkedTask) -> str:
        reason = self.domain.rejection(task.question)
        if reason is not None:
            return f"whose question its own rules reject ({reason})"
        known = self.domain.known_answer(task.question)
        return f"but knows another answer, {known!r}" if known not in (None, task.answer) else ""


def _item(task: WorkedTask) -> Item:
    return Item(task.question, task.answer, groups={GROUP: task.group or _ONLY_GROUP})
