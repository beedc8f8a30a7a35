"""Arithmetic with a strict grammar and known answers: the domain of the embedded model.

The prompts are bare words for the role, since that model knows nothing else. A topic is a level, which it
knows where it was pretrained to (`model.tiny.topic_share`); examples it cannot read.
"""

from __future__ import annotations

import random

from agent0.domains.arithmetic_grammar import LEVELS, ArithmeticWorld, evaluate, expression_of, random_question
from agent0.domains.domain import AgentPrompt, Domain, PromptSet, WorkedTask

_WORLD = ArithmeticWorld()


def draw(rng: random.Random) -> WorkedTask:
    """Write a question of a random level, reserved ones among them."""
    level = rng.choice(LEVELS)
    question = random_question(rng, level, held_out=rng.random() < 0.2)
    expression = expression_of(question) or ""
    return WorkedTask(question, str(evaluate(expression)), f"print({expression})", level.name)


DOMAIN = Domain(
    prompts=PromptSet(
        curriculum=AgentPrompt(({"role": "user", "content": "propose"},)),
        executor=AgentPrompt(({"role": "user", "content": "solve {question}"},)),
        topic=" {topic}",
        teacher=AgentPrompt(
            (
                {
                    "role": "system",
                    "content": "You set exercises in arithmetic for a small model that learns. Each is one line: "
                    '"What is ", an expression, and "?". An expression joins two to eight whole numbers of one to four '
                    "digits by +, - and *, without spaces and without a leading minus; parentheses may group. Give the "
                    "exercise and nothing else, as in <question>What is 12+(3*45)?</question>.",
                },
                {"role": "user", "content": "Write one new exercise."},
            )
        ),
    ),
    topics=tuple(level.name for level in LEVELS),
    on_topic=_WORLD.on_topic,
    rejection=_WORLD.rejection,
    known_answer=_WORLD.known_answer,
    held_out=_WORLD.held_out,
    draw=draw,
)
