"""Synthetic transcripts that the embedded base model is pretrained on, in the protocol's own format.

The base model can use the tool but often does not: `direct_share` of the solutions state an answer at once, which a
model of this size gets wrong. That leaves reinforcement learning something real to find.
"""

from __future__ import annotations

import random

from agent0.config import TinyPretraining
from agent0.domains import Demonstration, Prompts, Segment, use_tool
from agent0.domains.arithmetic import DOMAIN
from agent0.domains.arithmetic_grammar import LEVELS, Level, evaluate, expression_of, random_question
from agent0.types import Condition

_SOLVE_OPERANDS = ((2, 3, 4, 5, 6), (0.30, 0.25, 0.20, 0.15, 0.10))
_PROPOSE_OPERANDS = ((2, 3, 4, 5, 6), (0.50, 0.25, 0.13, 0.07, 0.05))
_PROPOSE_DIGITS = ((1, 2, 3), (0.50, 0.35, 0.15))
_PROMPTS = Prompts(DOMAIN.prompts.curriculum.messages, DOMAIN.prompts.executor.messages, topic=DOMAIN.prompts.topic)


def draw_transcript(rng: random.Random, settings: TinyPretraining) -> Demonstration:
    """Draw one transcript: a proposal with probability `propose_share`, else a solution."""
    return _proposal(rng, settings) if rng.random() < settings.propose_share else _solution(rng, settings)


def _solution(rng: random.Random, settings: TinyPretraining) -> Demonstration:
    level = Level(rng.choices(*_SOLVE_OPERANDS)[0], rng.randint(1, 3))
    question = random_question(rng, level, held_out=False)
    value = _value(question)
    direct = rng.random() < settings.direct_share
    before = () if direct else _tool_use(question, value)
    return Demonstration(tuple(_PROMPTS.solve(question)), (*before, Segment(f"\\boxed{{{value}}}", True)))


def _proposal(rng: random.Random, settings: TinyPretraining) -> Demonstration:
    topic = _topic(rng, settings)
    level = topic or Level(rng.choices(*_PROPOSE_OPERANDS)[0], rng.choices(*_PROPOSE_DIGITS)[0])
    question = random_question(rng, level, held_out=False)
    asked = f"<question>{question}</question>"
    messages = tuple(_PROMPTS.propose(Condition(topic=topic.name if topic else "")))
    if rng.random() >= settings.propose_tool_share:
        return Demonstration(messages, (Segment(asked, True),))
    value = _value(question)
    return Demonstration(messages, (*_tool_use(question, value), Segment(f"\\boxed{{{value}}}\n{asked}", True)))


def _topic(rng: random.Random, settings: TinyPretraining) -> Level | None:
    """Return the level that a proposal is asked for by name, or None where it is left to the model."""
    asked = settings.topic_share and rng.random() < settings.topic_share  # no draw at 0: the model of old stays itself
    return rng.choice(LEVELS) if asked else None


def _tool_use(question: str, value: int) -> tuple[Segment, Segment]:
    return use_tool(f"print({expression_of(question)})", str(value))


def _value(question: str) -> int:
    return evaluate(expression_of(question) or "")
