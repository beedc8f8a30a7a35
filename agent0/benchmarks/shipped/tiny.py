"""The tiny world as a benchmark: arithmetic that nothing was trained on, made here, so it needs no data."""

from __future__ import annotations

from agent0.answers import majority_vote
from agent0.benchmarks.mathematics_rules import BOXED
from agent0.benchmarks.spec import QUESTION_SEED, Benchmark, Dataset, Decoding, Item, Prompt, Protocol, Row, boxed_gold
from agent0.domains.arithmetic_grammar import LEVELS, ArithmeticWorld, held_out_questions

_PER_LEVEL = 40
_PROTOCOL = Protocol(
    Prompt("solve {question}"), Decoding(max_tokens=160, samples=4, temperature=1.0), BOXED, ends_at_answer=True
)


def tiny_items(per_level: int) -> list[Item]:
    """Return `per_level` reserved questions of each level; always the same."""
    world = ArithmeticWorld()
    questions = held_out_questions(LEVELS, per_level, QUESTION_SEED)
    return [
        Item(question, world.known_answer(question) or "", groups={"level": level})
        for level, chosen in questions.items()
        for question in chosen
    ]


def read_tiny(row: Row) -> Item:
    """Read a stored row of the tiny world.

    Raises:
        ValueError: the answer is not the question's value.
    """
    truth = ArithmeticWorld().known_answer(str(row["question"]))
    if truth is None or truth != str(row["gold"]):
        raise ValueError(f"the answer is {row['gold']!r}, and the question's value is {truth!r}")
    return Item(str(row["question"]), truth, groups={} if row["level"] is None else {"level": str(row["level"])})


TINY = Benchmark(
    name="tiny",
    title="Tiny world",
    family="tiny",
    dataset=Dataset(
        hub_id="",
        split="held_out",
        rows=_PER_LEVEL * len(LEVELS),
        columns={"question": ("question",), "gold": ("answer",), "level": ("level",)},
        optional=("level",),
        licence="Apache-2.0",
        sha256="b404908e316d54fdc3ecefdc438d502c79e811dafe34ae00c298d8582a33a11f",
        generator="agent0.tiny.grammar",  # as records have it; today agent0.domains.arithmetic_grammar
        seed=QUESTION_SEED,
    ),
    read=read_tiny,
    protocols={"paper": _PROTOCOL, "official": _PROTOCOL},
    echo={"paper": boxed_gold, "official": boxed_gold},
    breakdowns=("level",),
    vote=majority_vote,
    generate=tiny_items,
    per_group=_PER_LEVEL,
)

BENCHMARKS = (TINY,)
