"""Tasks about programs in the sandbox: what their calls return, whether a program may be asked about, what is right.

Nothing of a program is believed but what it printed last, and nothing is run that knows the results which an answer is
compared with. The sandbox hashes with one seed (`agent0.sandbox.server_process`), so the order of a set is no chance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent0.domains.program_text import (
    NoTaskError,
    ProgramTask,
    literal,
    read_arguments,
    read_function,
    read_task,
    same,
)
from agent0.domains.verification import Examined
from agent0.tools import ProgramRunner

RUNS = 2
"""Runs that must agree for a program to count as deterministic; so the paper of Absolute Zero (section 3.3.3)."""
MAX_RESULT = 200
"""Characters of a result."""
_STOPPED = {"timeout": "does_not_end", "memory": "too_large", "output_limit": "too_large"}


async def examine(proposal: str, sandbox: ProgramRunner) -> Examined:
    """Run a proposal, and return it with the results of its calls, or why it is no task.

    Refused is a program that fails, does not end, is not deterministic, or returns no plain value, or a large one.
    """
    task = read_task(proposal)
    outcomes = await asyncio.gather(*(_results(task.program, task.arguments, sandbox) for _ in range(RUNS)))
    if any(outcome != outcomes[0] for outcome in outcomes):
        return Examined(None, "not_deterministic")
    if isinstance(outcomes[0], str):
        return Examined(None, outcomes[0])
    return Examined(str(ProgramTask(task.kind, task.program, task.arguments, outcomes[0])))


async def accepts(question: str, answer: str, sandbox: ProgramRunner) -> bool:
    """Return whether an answer is right: the value; any arguments that give it; a function with all the results."""
    task = read_task(question)
    if task.kind == "deduction":
        return _denotes(answer, task.results[0])
    if task.kind == "abduction":
        arguments = read_arguments(answer)
        return arguments is not None and await _gives(task.program, (arguments,), task.results, sandbox)
    function = read_function(answer)
    return function is not None and await _gives(function, task.arguments, task.results, sandbox)


async def _gives(program: str, arguments: Sequence[str], results: Sequence[str], sandbox: ProgramRunner) -> bool:
    outcome = await _results(program, arguments, sandbox)
    return not isinstance(outcome, str) and all(map(same, map(literal, outcome), map(literal, results)))


async def _results(program: str, arguments: Sequence[str], sandbox: ProgramRunner) -> tuple[str, ...] | str:
    """Return what the calls return, as literals, or why they return nothing that could be compared."""
    calls = ", ".join(f"f({own})" for own in arguments)
    run = await sandbox.arun(f"{program}\nprint()\nprint([{calls}])\n")
    if not run.ok:
        return _STOPPED.get(run.status, "fails")
    try:
        values = literal(run.stdout.rstrip("\n").rpartition("\n")[2])
    except ValueError:
        return "no_value"
    if not isinstance(values, list) or len(values) != len(arguments) or any(value is None for value in values):
        return "no_value"
    written = tuple(map(repr, values))
    return "too_large" if max(map(len, written)) > MAX_RESULT else written


def _denotes(answer: str, result: str) -> bool:
    """Whether an answer is a result as Python writes it, or the text itself where that is one."""
    value = literal(result)
    try:
        return same(literal(answer), value) or answer == value
    except ValueError:
        return bool(answer == value)


def refusal(text: str) -> str | None:
    """Return why a text is no task about a program, or None if it is one."""
    try:
        read_task(text)
    except NoTaskError as error:
        return str(error)
    return None
