"""Arithmetic questions with a strict grammar: `What is 12+(3*45)?` and three other phrasings.

Operands are integers of one to four digits without leading zeros, operators are + - *, parentheses group. A question
that is not exactly of this form has no value here; leniency would let a curriculum agent earn reward with nonsense.
"""

from __future__ import annotations

import ast
import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

PHRASINGS: tuple[str, ...] = ("What is {}?", "Compute {}.", "Evaluate {}.", "Find the value of {}.")
OPERATORS = "+-*"
MAX_OPERANDS = 8
MAX_DIGITS = 4
GROUPING_PROBABILITY = 0.35
HELD_OUT_PART = 5  # one expression in five is reserved for evaluation

_EXPRESSION = r"[0-9+\-*()]{3,80}"
_QUESTION = re.compile("|".join(f"(?:{re.escape(p).replace(re.escape('{}'), f'({_EXPRESSION})')})" for p in PHRASINGS))
_OPERATOR_NODES: tuple[type[ast.operator], ...] = (ast.Add, ast.Sub, ast.Mult)


@dataclass(frozen=True)
class Level:
    """A difficulty level: so many operands of at most so many digits."""

    operands: int
    digits: int

    @property
    def name(self) -> str:
        """Short name, e.g. `3x2`."""
        return f"{self.operands}x{self.digits}"


LEVELS: tuple[Level, ...] = (Level(2, 1), Level(2, 2), Level(3, 2), Level(4, 2), Level(5, 3))


class ArithmeticWorld:
    """The rules of the embedded world; see `agent0.domains.Domain`."""

    def rejection(self, question: str) -> str | None:
        """Return why `question` is outside the grammar, or None."""
        expression = expression_of(question)
        if expression is None:
            return "grammar"
        operands = _operands(expression)
        if operands is None:
            return "expression"
        if not 2 <= len(operands) <= MAX_OPERANDS or max(map(len, operands)) > MAX_DIGITS:
            return "size"
        return None

    def known_answer(self, question: str) -> str | None:
        """Return the exact value of a valid question, or None if it is not valid."""
        if self.rejection(question) is not None:
            return None
        return str(evaluate(expression_of(question) or ""))

    def on_topic(self, question: str, topic: str) -> bool:
        """Return whether `topic` is the level of a valid question: its operands, and the digits of the longest.

        `random_expression` may draw shorter numbers than its level allows; here a question has one level and no other.
        """
        operands = _operands(expression_of(question) or "") or []
        return topic == Level(len(operands), max(map(len, operands), default=0)).name

    def held_out(self, question: str) -> bool:
        """Return whether the question's expression is reserved for evaluation, whatever its phrasing."""
        return is_held_out(expression_of(question) or question)


def expression_of(question: str) -> str | None:
    """Return the expression of a question in one of the phrasings, or None."""
    match = _QUESTION.fullmatch(question)
    return next((group for group in match.groups() if group), None) if match else None


def evaluate(expression: str) -> int:
    """Return the exact value of an expression of the grammar.

    Raises:
        ValueError: it is not an expression of the grammar.
    """
    return _value(_parse(expression))


def is_held_out(expression: str) -> bool:
    """Return whether `expression` belongs to the fifth of all expressions that nothing may be trained on."""
    return hashlib.sha256(expression.encode()).digest()[0] % HELD_OUT_PART == 0


def random_expression(rng: random.Random, level: Level) -> str:
    """Draw an expression with exactly `level.operands` operands of one to `level.digits` digits."""
    numbers = [_random_number(rng, rng.randint(1, level.digits)) for _ in range(level.operands)]
    text, compound = numbers[0], False
    for number in numbers[1:]:
        if compound and rng.random() < GROUPING_PROBABILITY:
            text = f"({text})"
        text = f"{text}{rng.choice(OPERATORS)}{number}"
        compound = True
    return text


def random_question(rng: random.Random, level: Level, *, held_out: bool) -> str:
    """Draw a question of `level`, from the reserved expressions or from the others."""
    while True:
        expression = random_expression(rng, level)
        if is_held_out(expression) is held_out:
            return rng.choice(PHRASINGS).format(expression)


def held_out_questions(levels: Sequence[Level], per_level: int, seed: int) -> dict[str, list[str]]:
    """Draw reserved questions per level, no question twice; the same arguments give the same questions."""
    questions: dict[str, list[str]] = {}
    asked: set[str] = set()
    for level in levels:
        rng = random.Random(f"{seed}/{level.name}")
        chosen: list[str] = []
        while len(chosen) < per_level:
            question = random_question(rng, level, held_out=True)
            if question not in asked:
                asked.add(question)
                chosen.append(question)
        questions[level.name] = chosen
    return questions


def _random_number(rng: random.Random, digits: int) -> str:
    return str(rng.randint(10 ** (digits - 1), 10**digits - 1))


def _parse(expression: str) -> ast.expr:
    if not re.fullmatch(_EXPRESSION, expression):
        raise ValueError(f"{expression!r} is not an arithmetic expression of this world.")
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{expression!r} is not an arithmetic expression of this world.") from error
    for node in ast.walk(tree):
        if not isinstance(node, (ast.BinOp, ast.Constant, *_OPERATOR_NODES)):
            raise ValueError(f"{expression!r} uses more than + - * and parentheses.")
    return tree


def _value(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if not isinstance(node, ast.BinOp):
        raise ValueError("not an arithmetic expression of this world.")
    left, right = _value(node.left), _value(node.right)
    if isinstance(node.op, ast.Add):
        return left + right
    return left - right if isinstance(node.op, ast.Sub) else left * right


def _operands(expression: str) -> list[str] | None:
    """Return the operands as written, or None if `expression` is not one of the grammar."""
    try:
        _parse(expression)
    except ValueError:
        return None
    return re.findall(r"\d+", expression)
