"""Tasks about programs as text: a kind, a function `f`, and calls of it, with what they return once it has been run.

    deduction
    def f(x):
        return x * 3 + 1
    f(4) == 13

A proposal is the same without what the calls return. Everything that is not of this form is refused with a reason.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

KINDS = ("deduction", "abduction", "induction")
LEAST_PAIRS = 4
"""Calls that an induction needs, half of which are shown; the published code of Absolute Zero has ten."""
MAX_CHARACTERS = 1000
"""Of a task; the executor's prompt has less room for the programs of a small model."""
NOTHING = "{}"
"""The one value that the grader reads as no answer: an empty box."""
MODULES = {
    *("bisect", "collections", "fractions", "functools", "heapq", "itertools", "math", "operator", "random", "re"),
    *("statistics", "string"),
}
"""Modules that a program may import: none knows the clock or the machine; `random` is for seeded generators."""
IMPURE = {
    *("__import__", "breakpoint", "compile", "delattr", "dir", "eval", "exec", "getattr", "globals", "hash", "help"),
    *("id", "input", "locals", "memoryview", "object", "open", "setattr", "vars"),
}
"""Names whose value may be another one on another day, or that lead to such."""


class NoTaskError(ValueError):
    """A text is no task; the message is the reason, in snake_case."""


@dataclass(frozen=True)
class ProgramTask:
    """A task about a function `f`.

    Attributes:
        kind: one of `KINDS`.
        program: source of `f` and what it needs, without comments.
        arguments: of each call, as written between its brackets.
        results: what each call returns, as literals; empty in a proposal.
    """

    kind: str
    program: str
    arguments: tuple[str, ...]
    results: tuple[str, ...] = ()

    def __str__(self) -> str:
        calls = [f"f({arguments})" for arguments in self.arguments]
        lines = [f"{call} == {result}" for call, result in zip(calls, self.results, strict=False)] or calls
        return "\n".join((self.kind, self.program, *lines))

    @property
    def shown(self) -> int:
        """How many calls an induction shows with their results; the others are held back."""
        return len(self.arguments) // 2


@lru_cache(4096)
def read_task(text: str) -> ProgramTask:
    """Read a proposal, or a task with its results.

    Raises:
        NoTaskError: it is neither.
    """
    if len(text) > MAX_CHARACTERS:
        raise NoTaskError("too_long")
    kind, _, source = text.strip().partition("\n")
    if kind.strip() not in KINDS:
        raise NoTaskError("no_kind")
    body = _parsed(source).body
    first = next((place for place, statement in enumerate(body) if isinstance(statement, ast.Expr)), len(body))
    program = body[:first]
    _check_program(program)
    calls = [_call(statement) for statement in body[first:]]
    if len(calls) < (LEAST_PAIRS if kind.strip() == "induction" else 1):
        raise NoTaskError("too_few_calls")
    results = tuple(result for _, result in calls if result is not None)
    if results and len(results) != len(calls):
        raise NoTaskError("no_call")
    if NOTHING in (calls[0][0], *results):
        raise NoTaskError("no_value")
    kept = calls if kind.strip() == "induction" else calls[:1]
    source = "\n".join(map(ast.unparse, program))
    return ProgramTask(kind.strip(), source, tuple(own for own, _ in kept), results[: len(kept)])


def read_arguments(text: str) -> str | None:
    """Return an answer that names the arguments of a call, `3, 'a'` or `f(3, 'a')`, as written; None if it does not."""
    for call in (f"f({text})", text):
        try:
            return _call(_parsed(call).body[0])[0]
        except (NoTaskError, IndexError):
            continue
    return None


def read_function(text: str) -> str | None:
    """Return an answer that defines the function, as `def f` or as a lambda, as a program with `f`; None if not."""
    try:
        body = _parsed(text).body
        if len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Lambda):
            return f"f = {ast.unparse(body[0])}"
        _check_program(body)
    except NoTaskError:
        return None
    return "\n".join(map(ast.unparse, body))


def literal(text: str | ast.expr) -> Any:
    """Return the value that a literal denotes: numbers, texts, lists, tuples and dictionaries, none of them a set.

    Raises:
        ValueError: it denotes none.
    """
    try:
        value = ast.literal_eval(text.strip() if isinstance(text, str) else text)
        plain = _is_plain(value)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:  # a model's text may be anything
        raise ValueError("no literal") from error
    if not plain:
        raise ValueError("no plain value")
    return value


def _is_plain(value: Any) -> bool:
    """Whether a value is written the same in every process."""
    if isinstance(value, dict):
        return all(map(_is_plain, [*value, *value.values()]))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def same(value: Any, other: Any) -> bool:
    """Whether two values of literals are the same and of the same types: 1 is neither 1.0 nor True."""
    if type(value) is not type(other):
        return False
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in value)
    return bool(value == other)


def _parsed(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes in strings
            return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise NoTaskError("no_program") from error


def _call(statement: ast.stmt) -> tuple[str, str | None]:
    """Return the arguments of `f(…)`, and what it returns where the statement is `f(…) == …`."""
    call, result = statement.value if isinstance(statement, ast.Expr) else None, None
    if isinstance(call, ast.Compare) and len(call.ops) == 1 and isinstance(call.ops[0], ast.Eq):
        result = _literal(call.comparators[0])
        call = call.left
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "f" and call.args):
        raise NoTaskError("no_call")
    if call.keywords:
        raise NoTaskError("no_call")
    return ", ".join(map(_literal, call.args)), result


def _literal(node: ast.expr) -> str:
    try:
        return repr(literal(node))
    except ValueError as error:
        raise NoTaskError("no_literal") from error


def _check_program(body: list[ast.stmt]) -> None:
    """Refuse what defines no function `f`, does more than define, or may depend on more than its arguments."""
    if not all(isinstance(statement, ast.FunctionDef | ast.Import | ast.ImportFrom) for statement in body):
        raise NoTaskError("no_program")
    if not any(isinstance(statement, ast.FunctionDef) and statement.name == "f" for statement in body):
        raise NoTaskError("no_function")
    for node in (node for statement in body for node in ast.walk(statement)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "."]
        if any(name not in MODULES for name in names):
            raise NoTaskError("import")
        impure = isinstance(node, ast.Name) and node.id in IMPURE
        replaced = isinstance(node, ast.FunctionDef) and node.name == "print"
        replaced |= isinstance(node, ast.alias) and node.asname == "print"
        if impure or replaced or (isinstance(node, ast.Attribute) and node.attr.startswith("_")):
            raise NoTaskError("impure")
