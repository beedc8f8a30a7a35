"""A benchmark: sums of two numbers, short and long ones, judged by their boxed answer."""

import random

from agent0.answers import majority_vote
from agent0.benchmarks.generated import generated_benchmark
from agent0.benchmarks.mathematics_rules import BOXED
from agent0.benchmarks.spec import Item

DIGITS = {"short": 1, "long": 3}


def sums(count, length, seed):
    rng, low = random.Random(f"{seed} {length}"), 10 ** (DIGITS[length] - 1)
    pairs = [(rng.randrange(low, 10 * low), rng.randrange(low, 10 * low)) for _ in range(count)]
    return [Item(f"What is {a}+{b}?", str(a + b), groups={"length": length}) for a, b in pairs]


SUMS = generated_benchmark(
    name="my_sums",
    title="Sums of two numbers",
    family="arithmetic",
    split="generated",
    licence="ours",
    generator="my_sums 1",
    groups=len(DIGITS),
    breakdown="length",
    rule=BOXED,
    vote=majority_vote,
    generate=lambda per_group: [item for length in DIGITS for item in sums(per_group, length, "asked")],
    probes=lambda count: sums(count, "long", "probes"),
)
