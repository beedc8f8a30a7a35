"""Truth by execution: what a domain does in the sandbox whose labels are verified and not voted.

A proposal is examined before it is a task, and an answer is settled as soon as it is there: a right one becomes the
known answer of its question, whatever it looked like, and a wrong one none. Whatever follows, the vote, the reward, the
audit, is the code of all domains: right answers agree, and wrong ones win nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from agent0.domains.domain import Domain
from agent0.tools import ProgramRunner
from agent0.types import Trajectory

T = TypeVar("T")


class Examined(NamedTuple):
    """What running a proposal gave: the question to ask, or a short snake_case reason why there is none."""

    question: str | None
    rejection: str | None = None


@dataclass(frozen=True)
class Verifier:
    """How a domain finds the truth with the sandbox.

    Attributes:
        examine: makes of a valid proposal the question that is asked, with all that its answers are checked by, or
            says why there is none. The question must be valid in its domain too, and its answer known there.
        accepts: whether an answer to such a question is right.
    """

    examine: Callable[[str, ProgramRunner], Awaitable[Examined]]
    accepts: Callable[[str, str, ProgramRunner], Awaitable[bool]]


async def settled(domain: Domain, question: str, trajectory: Trajectory, sandbox: ProgramRunner) -> Trajectory:
    """Return a trajectory with its answer settled; as it is where labels are voted, or `question` is not the domain's.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    if domain.verifier is None or trajectory.answer is None:
        return trajectory
    truth = domain.known_answer(question)
    if truth is None:
        return trajectory
    right = await domain.verifier.accepts(question, trajectory.answer, sandbox)
    return trajectory.model_copy(update={"answer": truth if right else None})


def settle_all(
    domain: Domain, questions: Sequence[str], trajectories: Sequence[Trajectory], sandbox: ProgramRunner
) -> list[Trajectory]:
    """Settle the answers of many trajectories, each to its question, and wait for them."""
    if domain.verifier is None:
        return list(trajectories)
    return _together(
        [settled(domain, question, made, sandbox) for question, made in zip(questions, trajectories, strict=True)]
    )


def examine_all(verifier: Verifier, proposals: Iterable[str], sandbox: ProgramRunner) -> dict[str, Examined]:
    """Examine proposals, each once, and wait for them."""
    distinct = list(dict.fromkeys(proposals))
    found = _together([verifier.examine(proposal, sandbox) for proposal in distinct])
    return dict(zip(distinct, found, strict=True))


def accept_all(verifier: Verifier, pairs: Iterable[tuple[str, str]], sandbox: ProgramRunner) -> list[bool]:
    """Return whether the answer of each (question, answer) pair is right; each is checked once, and waited for."""
    asked = list(pairs)
    distinct = list(dict.fromkeys(asked))
    found = _together([verifier.accepts(question, answer, sandbox) for question, answer in distinct])
    right = dict(zip(distinct, found, strict=True))
    return [right[pair] for pair in asked]


def _together(work: Sequence[Awaitable[T]]) -> list[T]:
    """Do everything at once, in a thread of its own, since whoever waits may be in an event loop."""

    async def everything() -> list[T]:
        return await asyncio.gather(*work)

    with ThreadPoolExecutor(1, thread_name_prefix="agent0-verification") as thread:
        return thread.submit(lambda: asyncio.run(everything())).result()
