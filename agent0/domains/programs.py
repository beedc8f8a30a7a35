"""Programs and what they compute: deduction, abduction and induction, verified by running (Absolute Zero, 2505.03335).

The curriculum agent writes a function and calls of it. Deduction asks what a call returns; abduction for arguments
with which the function returns a value, and any that do are right; induction for the function, of which half of the
calls are shown and all are checked. A program written here is one or two lines long, for small language models; a
model's own may be any that is pure. Leaves out the message by which the paper's proposer helps with an induction.
"""

from __future__ import annotations

import random
from dataclasses import replace

from agent0.domains.domain import AgentPrompt, Domain, PromptSet, WorkedTask, in_reserved_fifth
from agent0.domains.program_runs import accepts, examine, refusal
from agent0.domains.program_text import KINDS, LEAST_PAIRS, NoTaskError, ProgramTask, read_task
from agent0.domains.verification import Verifier

_NUMBERS = (
    *("x * {a} + {b}", "(x + {a}) * {b}", "x % {a} + {b}", "x * x - {b}", "max(x, {a}) + {b}", "abs(x - {a})"),
    *("x // {a} + {b}", "x + {a} if x > {b} else x * {b}", "{a} - x"),
)
_TEXTS = ("x + {c}", "{c} + x", "x[::-1]", "x.upper()", "x * 2", "x[1:] + x[0]", "len(x) + {a}")
_LISTS = ("sum(x) + {a}", "sorted(x)", "x[::-1]", "[n + {a} for n in x]", "max(x) - min(x)", "x[1:]", "len(x) * {a}")
_WORDS = ["tea", "sun", "map", "ink", "owl", "jar", "rope", "lamp", "fish", "corn", "milk", "sand"]
_PAIRS = 6
"""Calls of an induction that is written here."""
_CANDIDATES = 100
"""Numbers among which the program of an abduction looks for one."""
_ASK = "Write one new task."

PROMPTS = PromptSet(
    curriculum=AgentPrompt(
        (
            {
                "role": "system",
                "content": "You write tasks about short Python programs. The first line is deduction, abduction or "
                "induction. Then comes a function f that always ends and always returns the same for the same "
                f"arguments, and then a line with a call of it, such as f(3); for induction {LEAST_PAIRS} lines with "
                "different calls. {tool} Give the task, and nothing else, between <question> and </question>.",
            },
            {"role": "user", "content": _ASK},
        )
    ),
    executor=AgentPrompt(
        (
            {
                "role": "system",
                "content": "Answer the question about the Python function f. {tool} Give the answer in \\boxed{}.",
            },
            {"role": "user", "content": "{question}"},
        )
    ),
    topic=" Its kind is {topic}.",
    examples=" It is as hard as these, and unlike all of them:\n{examples}",
)


def posed(question: str) -> str:
    """Return what the executor is told of a task; a text that is none is left as it is."""
    try:
        task = read_task(question)
    except NoTaskError:
        return question
    if not task.results:
        return question
    if task.kind == "deduction":
        return f"{task.program}\nWhat does f({task.arguments[0]}) return?"
    if task.kind == "abduction":
        return f"{task.program}\nWith which arguments does f return {task.results[0]}?"
    pairs = list(zip(task.arguments, task.results, strict=True))[: task.shown]
    shown = "\n".join(f"f({arguments}) returns {result}." for arguments, result in pairs)
    return f"{shown}\nWrite a function f that does so."


def known_answer(question: str) -> str | None:
    """Return the result, the arguments or the function that the task was made of; None for what is no task."""
    try:
        task = read_task(question)
    except NoTaskError:
        return None
    if not task.results:
        return None
    return {"deduction": task.results[0], "abduction": task.arguments[0], "induction": task.program}[task.kind]


def held_out(question: str) -> bool:
    """Return whether the program and its first call, in whatever kind of task, belong to the reserved fifth."""
    try:
        task = read_task(question)
    except NoTaskError:
        return False
    return in_reserved_fifth(f"{task.program}\n{task.arguments[0]}")


def draw(rng: random.Random) -> WorkedTask:
    """Write a task of a random kind about a function of one argument: a number, a word or a list."""
    kind = rng.choice(KINDS)
    body, arguments = _function(rng, _PAIRS if kind == "induction" else 1, numbers=kind == "abduction")
    program = f"def f(x):\n    {body}"
    proposal = ProgramTask(kind, program, tuple(map(repr, arguments)))
    results = tuple(map(repr, _returned(program, arguments)))
    if kind == "abduction":  # the program that looks for an argument finds the first
        first = next(x for x in range(_CANDIDATES) if repr(_returned(program, [x])[0]) == results[0])
        proposal = replace(proposal, arguments=(repr(first),))
    task = replace(proposal, results=results)
    question = str(read_task(str(task)))
    return WorkedTask(question, known_answer(question) or "", _solution(task), kind, str(proposal))


def _solution(task: ProgramTask) -> str:
    if task.kind == "deduction":
        return f"{task.program}\nprint(repr(f({task.arguments[0]})))"
    if task.kind == "abduction":
        return f"{task.program}\nprint(next(x for x in range({_CANDIDATES}) if f(x) == {task.results[0]}))"
    return ""


def _function(rng: random.Random, calls: int, *, numbers: bool) -> tuple[str, list[object]]:
    """Return the body of a function, and different arguments for it."""
    values = {"a": rng.randint(2, 9), "b": rng.randint(1, 9), "c": repr(rng.choice(_WORDS))}
    of = rng.choice((_NUMBERS, _TEXTS, _LISTS)) if not numbers else _NUMBERS
    arguments: list[object] = []
    while len(arguments) < calls:
        new: object = rng.randint(0, 20)
        if of is _TEXTS:
            new = rng.choice(_WORDS)
        elif of is _LISTS:
            new = [rng.randint(0, 9) for _ in range(rng.randint(2, 4))]
        if new not in arguments:
            arguments.append(new)
    return f"return {rng.choice(of).format(**values)}", arguments


def _returned(program: str, arguments: list[object]) -> list[object]:
    space: dict[str, object] = {}
    exec(program, space)  # our own function
    return [space["f"](own) for own in arguments]  # type: ignore[operator]


DOMAIN = Domain(
    prompts=PROMPTS,
    rejection=refusal,
    known_answer=known_answer,
    held_out=held_out,
    topics=KINDS,
    draw=draw,
    verifier=Verifier(examine, accepts),
    posed=posed,
)
