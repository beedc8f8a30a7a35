"""Short problems about numbers, for small language models: one or two steps of arithmetic in a sentence or two.

A program writes demonstrations and the benchmark from templates; a model's own questions may be any short text with a
number in it. The truth is known of whatever a template could have written with any words and numbers, and of nothing
else.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cached_property

from agent0.domains.domain import AgentPrompt, Domain, PromptSet, WorkedTask, in_reserved_fifth

MIN_CHARACTERS = 15
MAX_CHARACTERS = 300

_NAMES = [
    "Ada",
    "Ben",
    "Chen",
    "Dora",
    "Eli",
    "Fay",
    "Gus",
    "Hana",
    "Ivo",
    "Jun",
    "Kim",
    "Leo",
    "Mia",
    "Noor",
    "Omar",
    "Pia",
    "Quin",
    "Rosa",
    "Sam",
    "Tara",
    "Uma",
    "Vera",
    "Wen",
    "Yara",
    "Zoe",
]
_THINGS = [
    "pens",
    "apples",
    "stickers",
    "coins",
    "books",
    "marbles",
    "cards",
    "eggs",
    "shells",
    "bricks",
    "tickets",
    "stamps",
    "lemons",
    "badges",
]
_BOXES = ["bags", "boxes", "jars", "trays", "shelves", "crates", "baskets", "drawers"]
_FORMS = {"n": "[A-Z][A-Za-z]*", "m": "[A-Z][A-Za-z]*", "i": "[a-z]+", "c": "[a-z]+"}
_RANGES = {"a": (2, 60), "b": (2, 40), "d": (1, 30), "e": (2, 9)}
_FIELD = re.compile(r"\{(\w)\}")


@dataclass(frozen=True)
class Template:
    """A question with fields (a, b, d, e numbers; n, m names; i things; c boxes) and the expression that solves it."""

    name: str
    text: str
    expression: str

    def draw(self, rng: random.Random) -> WorkedTask:
        """Write a task; numbers are as they come, so an answer may be negative or zero."""
        first, second = rng.sample(_NAMES, 2)
        words = {"n": first, "m": second, "i": rng.choice(_THINGS), "c": rng.choice(_BOXES)}
        numbers = {name: rng.randint(*limits) for name, limits in _RANGES.items()}
        return self._task({**words, **{name: str(number) for name, number in numbers.items()}})

    def read(self, question: str) -> WorkedTask | None:
        """Return the task that `question` is, if this template could have written it but for its words and numbers."""
        found = self._pattern.fullmatch(question)
        try:
            return self._task(found.groupdict()) if found else None
        except ZeroDivisionError:  # shared among 0 friends
            return None

    def _task(self, values: dict[str, str]) -> WorkedTask:
        numbers = {name: int(values[name]) for name in _RANGES if name in values}
        program = _FIELD.sub(lambda match: str(numbers[match[1]]), self.expression)
        answer = eval(program, {"__builtins__": {}})  # our own expression over integers
        return WorkedTask(self.text.format(**values), str(answer), f"print({program})", self.name)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pattern, position, seen = "", 0, set()
        for match in _FIELD.finditer(self.text):
            name = match[1]
            pattern += re.escape(self.text[position : match.start()])
            known = rf"(?P<{name}>{_FORMS.get(name, '[0-9]{1,6}')})"
            pattern += rf"(?P={name})" if name in seen else known
            seen.add(name)
            position = match.end()
        return re.compile(pattern + re.escape(self.text[position:]))


TEMPLATES = (
    Template(
        "packing", "{n} has {a} {c} with {b} {i} each. {n} gives away {d} {i}. How many {i} are left?", "{a}*{b}-{d}"
    ),
    Template(
        "travel",
        "A train travels {a} km per hour for {e} hours and then {b} km per hour for {d} hours. How many km does it go?",
        "{a}*{e}+{b}*{d}",
    ),
    Template(
        "shopping",
        "{n} buys {a} {i} for {e} dollars each and pays {b} dollars for delivery. How many dollars does {n} pay?",
        "{a}*{e}+{b}",
    ),
    Template(
        "reading",
        "{n} reads {a} pages a day from Monday to Friday and {b} on Saturday. How many pages is that in {e} weeks?",
        "({a}*5+{b})*{e}",
    ),
    Template("ages", "{n} is {a} years old and {m} is {e} times as old. What is the sum of their ages?", "{a}+{a}*{e}"),
    Template("product", "What is {a} * {b} + {d}?", "{a}*{b}+{d}"),
    Template("brackets", "Compute ({a} + {b}) * {e} - {d}.", "({a}+{b})*{e}-{d}"),
    Template(
        "sharing",
        "{n} has {a} {i} and {m} has {b}. They share all equally among {e} friends. How many {i} are left over?",
        "({a}+{b})%{e}",
    ),
    Template("remainder", "What is the remainder when {a} * {b} is divided by {e}?", "{a}*{b}%{e}"),
    Template(
        "difference",
        "{n} has {a} {i} and {m} has {b} {i}. Both buy {d} more. How many {i} do they have together?",
        "{a}+{b}+2*{d}",
    ),
    Template(
        "garden",
        "A garden is {a} meters long and {e} meters wide. How many meters of fence go around it?",
        "2*({a}+{e})",
    ),
    Template(
        "savings",
        "{n} saves {a} dollars a month for {e} months and spends {b} dollars. How many dollars are left?",
        "{a}*{e}-{b}",
    ),
)

_FIRST = "Mia has 14 boxes with 6 pens each. Mia gives away 9 pens. How many pens are left?"
_SECOND = "What is the remainder when 52 * 7 is divided by 9?"


def _solution(program: str, answer: int) -> str:
    return f"```python\nprint({program})\n```\n```output\n{answer}\n```\nThe answer is \\boxed{{{answer}}}."


def _turns(*pairs: tuple[str, str]) -> tuple[dict[str, str], ...]:
    return tuple(
        {"role": role, "content": content}
        for pair in pairs
        for role, content in zip(("user", "assistant"), pair, strict=True)
    )


_ASK = "Write one new problem."

PROMPTS = PromptSet(
    curriculum=AgentPrompt(
        messages=(
            {"role": "system", "content": "You write short problems about numbers."},
            {"role": "user", "content": _ASK},
        ),
        worked=_turns((_ASK, f"<question>{_FIRST}</question>"), (_ASK, f"<question>{_SECOND}</question>")),
    ),
    executor=AgentPrompt(
        messages=(
            {"role": "system", "content": "Solve the problem. {tool}"},
            {"role": "user", "content": "{question}"},
        ),
        worked=_turns((_FIRST, _solution("14*6-9", 75)), (_SECOND, _solution("52*7%9", 4))),
    ),
    tool="You may run Python.",
    topic=" Its kind is {topic}.",
    examples=" It is as hard as these, and unlike all of them:\n{examples}",
    teacher=AgentPrompt(
        messages=(
            {
                "role": "system",
                "content": "You write problems about numbers for a small model that learns: one to three plain "
                "sentences of at most 300 characters, solved by one to three steps of arithmetic, with a whole number "
                f"as the answer. Give the problem and nothing else, as in <question>{_FIRST}</question>.",
            },
            {"role": "user", "content": _ASK},
        ),
    ),
)


def draw(rng: random.Random) -> WorkedTask:
    """Write a task from a random template; a fifth of all are reserved for evaluation."""
    return rng.choice(TEMPLATES).draw(rng)


def rejection(question: str) -> str | None:
    """Return why `question` is no short problem about numbers, or None."""
    if not MIN_CHARACTERS <= len(question) <= MAX_CHARACTERS:
        return "too_short" if len(question) < MIN_CHARACTERS else "too_long"
    if not any(character.isdigit() for character in question):
        return "no_number"
    return "not_plain" if "```" in question or "\\boxed" in question else None


def known_answer(question: str) -> str | None:
    """Return the truth of a question that a template could have written with some words and numbers, or None."""
    return next((task.answer for template in TEMPLATES if (task := template.read(question))), None)


DOMAIN = Domain(
    prompts=PROMPTS,
    rejection=rejection,
    known_answer=known_answer,
    held_out=in_reserved_fifth,
    topics=tuple(template.name for template in TEMPLATES),
    draw=draw,
)
