"""The grader against Math-Verify, side by side: verdicts, throughput, hostile answers, the vote.

Math-Verify runs in this process without time limits, on the same machine and the same pairs. `--check` exits
with 1 when a bar is missed. Real pairs come from ../shared/data where it is present. To measure with gmpy2,
install it (or put it on PYTHONPATH); the first line says whether it was there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import math
import os
import random
import statistics
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import psutil
from answer_pairs import Pair, deliberate_difference, pairs
from rich.console import Console
from rich.table import Table

from agent0.answers import Grader, Verdict
from agent0.answers.costly_answers import refusal
from agent0.answers.math_verify_worker import math_verify_verdict
from agent0.answers.vote import vote

REAL = Path(__file__).resolve().parents[1] / "../shared/data/gsm8k_model_solutions_100.jsonl"
HOSTILE = [
    "10^{10^{10}}",
    "9^{9^{9^9}}",
    "2**10**10",
    "1000000!",
    "(10!)!",
    "(" * 500 + "1" + ")" * 500,
    "9" * 2**20,
    "x+" * 2**19 + "1",
    "__import__('os').system('sleep 60')",
    r"\binom{10^9}{5\cdot10^8}",
]
PAST_THE_GUARDS = ["(999*999)!", "e^{e^{e^{100}}}", "((x+1)^{20}+(y+1)^{20})^{20}", "((x-1)^{19}+(y+2)^{21})^{19}"]


def real_pairs() -> list[Pair]:
    """Final answers of the published solutions to GSM8K questions, four models each; empty where absent."""
    if not REAL.is_file():
        return []
    found = []
    for line in REAL.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold = row["ground_truth"].rsplit("A:", 1)[1].strip()
        for solution in (value["solution"] for value in row.values() if isinstance(value, dict)):
            if "A:" in solution:
                found.append((gold, solution.rsplit("A:", 1)[1].strip()))
    return found


def reference(gold: str, answer: str) -> bool | None:
    """Math-Verify's verdict; None where it raises and so decides nothing."""
    try:
        return math_verify_verdict(gold, answer)
    except Exception:  # sympy's failures have no common base
        return None


def compare_verdicts(families: dict[str, list[Pair]], grader: Grader, console: Console) -> dict[str, bool]:
    """Print agreement by family and every deliberate difference by reason."""
    table = Table("family", "pairs", "equal", "undecided by MV", "differ on purpose", "differ")
    reasons: Counter[str] = Counter()
    examples: dict[str, Pair] = {}
    unexplained = []
    for name, family in families.items():
        equal = undecided = purpose = 0
        wrong = len(unexplained)
        for pair, verdict in zip(family, grader.equivalent_many(family), strict=True):
            expected = reference(*pair)
            equal += expected is True
            undecided += expected is None
            if expected is None or verdict is (Verdict.TRUE if expected else Verdict.FALSE):
                continue
            reason = deliberate_difference(*pair)
            if reason is None:
                unexplained.append((*pair, verdict.name, expected))
                continue
            purpose += 1
            reasons[reason] += 1
            examples.setdefault(reason, pair)
        row = (len(family), equal, undecided, purpose, len(unexplained) - wrong)
        table.add_row(name, *(str(value) for value in row))
    console.print(table)
    for reason, count in reasons.most_common():
        console.print(f"  on purpose, {count:4d} x: {reason}, e.g. {examples[reason]}", markup=False)
    for case in unexplained[:20]:
        console.print(f"  NOT EXPLAINED: {case}", markup=False)
    generated = sum(len(family) for name, family in families.items() if not name.startswith("real"))
    return {"verdicts equal Math-Verify's": not unexplained, "at least 2,000 generated pairs": generated >= 2000}


def throughput(name: str, batch: list[Pair], console: Console, repeats: int) -> float:
    """Print and return the ratio of pairs per second; best of the runs, each with an empty cache."""
    ours, theirs = [], []
    for _ in range(repeats):
        with Grader() as grader:
            grader.equivalent("x+1", "1+x")  # starts the workers
            start = time.perf_counter()
            grader.equivalent_many(batch)
            ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        for pair in batch:
            reference(*pair)
        theirs.append(time.perf_counter() - start)
    ratio = min(theirs) / min(ours)
    console.print(
        f"{name}: {len(batch) / min(ours):,.0f} pairs/s, Math-Verify {len(batch) / min(theirs):,.0f}; ratio {ratio:.1f}"
    )
    return ratio


def hostile_batch(hostile: list[str], ordinary: list[Pair], console: Console) -> tuple[float, bool, bool]:
    """Return the delay in hard limits, whether all verdicts are harmless, whether no process is left."""
    limit = 5.0
    with Grader(seconds=limit) as grader:
        grader.equivalent("x+1", "1+x")
        start = time.perf_counter()
        grader.equivalent_many(ordinary)
        plain = time.perf_counter() - start
    batch = [*ordinary, *(("42", answer) for answer in hostile)]
    random.Random(0).shuffle(batch)
    with Grader(seconds=limit) as grader:
        grader.equivalent("x+1", "1+x")
        start = time.perf_counter()
        verdicts = dict(zip(batch, grader.equivalent_many(batch), strict=True))
        delay = (time.perf_counter() - start - plain) / limit
    outcomes = [verdicts["42", answer] for answer in hostile]
    harmless = all(outcome in (Verdict.TIMEOUT, Verdict.FALSE, Verdict.ERROR) for outcome in outcomes)
    left = psutil.Process().children(recursive=True)
    console.print(
        f"{len(hostile)} hostile answers among {len(ordinary):,}: +{delay:.2f} hard limits, "
        f"{dict(Counter(outcome.name for outcome in outcomes))}, processes left: {len(left)}"
    )
    return delay, harmless, not left


def vote_milliseconds(console: Console) -> float:
    """Return the median cost of a vote over 10 ordinary answers, p-hat from 0.1 to 1."""
    rng = random.Random(0)
    seconds = []
    with Grader() as grader:
        for _ in range(300):
            right = rng.randint(-500, 5000)
            forms = [str(right), f"{right:,}", f"${right}$", f"{right}.0", f"\\frac{{{right * 2}}}{{2}}"]
            share = rng.random()
            answers = [rng.choice(forms) if rng.random() < share else str(rng.randint(-500, 5000)) for _ in range(10)]
            start = time.perf_counter()
            vote(answers, grader)
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds) * 1000
    console.print(
        f"a vote over 10 answers: median {median:.3f} ms, 99th percentile {sorted(seconds)[296] * 1000:.3f} ms"
    )
    return median


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--per-family", type=int, default=170, help="generated pairs per family")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    console = Console(width=140)
    console.print(f"gmpy2 installed: {importlib.util.find_spec('gmpy2') is not None}")

    generated = pairs(arguments.per_family, arguments.seed)
    flat = [pair for family in generated.values() for pair in family]
    rng = random.Random(arguments.seed)
    crossed = [(rng.choice(flat)[0], rng.choice(flat)[1]) for _ in range(300)]
    real = real_pairs()
    families = {**generated, "across families": crossed, **({"real GSM8K answers": real} if real else {})}
    with Grader() as grader:
        bars = compare_verdicts(families, grader, console)

    numbers = [pair for name in ("integers", "fractions", "units", "text") for pair in generated[name]]
    ordinary = real or numbers
    bars["10 x Math-Verify on ordinary answers"] = (
        throughput("real GSM8K answers" if real else "generated ordinary answers", ordinary, console, repeats=3) >= 10
    )
    throughput("all generated pairs", flat, console, repeats=1)

    thousand = (ordinary * (1000 // len(ordinary) + 1))[:1000]
    delay, harmless, clean = hostile_batch(HOSTILE, thousand, console)
    bars["10 hostile answers cost at most 2 hard limits"] = delay <= 2
    bars["each is TIMEOUT, FALSE or ERROR"] = harmless
    bars["no process is left"] = clean
    assert not any(refusal(answer) for answer in PAST_THE_GUARDS)
    delay, harmless, clean = hostile_batch(PAST_THE_GUARDS, thousand, console)
    rounds = math.ceil(len(PAST_THE_GUARDS) / len(os.sched_getaffinity(0)))
    bars["4 that pass the guards cost a hard limit each, shared by the workers"] = (
        delay <= rounds + 0.5 and harmless and clean
    )
    bars["a vote costs at most 1 ms"] = vote_milliseconds(console) <= 1

    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'}  {bar}")
    if arguments.check and not all(bars.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
