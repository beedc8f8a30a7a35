"""Whether the scorers say what labels, published extractions and official rules say; what they and the runner cost.

Prints tables; `--check` exits with 1 when a bar is missed. Real rows are read from `--data` (files of a sample), and
whole benchmarks from AGENT0_BENCHMARKS where it is set; a part whose data are absent is skipped and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluation_cases import BBEH_CASES, OPTIONS, SUPER_GPQA_CASES, Case

from agent0.answers import close_default_grader
from agent0.benchmarks.catalogue import BENCHMARKS, benchmark
from agent0.benchmarks.loading import ROOT_VARIABLE, load_items
from agent0.benchmarks.spec import PRESETS, Benchmark, BenchmarkError, Item, Protocol
from agent0.evaluation.scoring import Scored, score_responses

DATA = Path(__file__).parents[1] / "../shared/data"
SAMPLES = {
    "gsm8k": "gsm8k_test_100.jsonl",
    "mmlu_pro": "mmlu_pro_outputs_300.jsonl",
    "super_gpqa": "super_gpqa_120.jsonl",
    "bbeh_mini": "bbeh_mini_92.jsonl",
}
SOLVERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
RESPONSES = 12_000
RESPONSE_CHARACTERS = 8_000
SCORING_SECONDS = 60.0
SCORING_MS = 1000 * SCORING_SECONDS / RESPONSES
SMALL, LARGE = 250_000, 1_000_000  # characters of hostile responses: the time may grow as their length does

# Each repeats to the length asked for, and ends in a way that leaves the search empty-handed.
HOSTILE = {
    "words": "word ",
    "blanks": " ",
    "lines": "\n",
    "answer:": "answer: ",
    "answer": "answer",
    "the answer": "the answer ",
    "answers and blanks": "the answers" + " " * 500,
    "the": "the ",
    "dollars": "$",
    "digits": "1234567890",
    "commas": "1,",
    "dots": ".",
    "backslashes": "\\",
    "braces": "{",
    "closing braces": "}",
    "brackets": "(",
    "boxes": "\\boxed{",
    "closed boxes": "\\boxed{} ",
    "texts in boxes": "\\boxed{\\text{",
    "hashes": "#### ",
    "stars": "**",
    "options": "copper ",
    "prefixes": "The answer is: ",
    "final answers": "Final Answer: The final answer is",
    "hopes": "I hope it is correct",
}


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, the bar, and whether it is met."""

    name: str
    measured: str
    bar: str = ""
    met: bool = True


def skipped(name: str, missing: object) -> list[Row]:
    """The line of a part whose data are absent."""
    return [Row(name, f"skipped: no {missing}")]


def read(path: Path) -> list[dict[str, object]]:
    """Rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def gsm8k_labels(data: Path) -> list[Row]:
    """Published solutions of four models, scored, against the labels that came with them."""
    path = data / "gsm8k_model_solutions_100.jsonl"
    if not path.is_file():
        return skipped("GSM8K solutions against labels", path.name)
    protocol = benchmark("gsm8k").protocols["official"]
    rows = read(path)
    judged = [(row, solver) for row in rows for solver in SOLVERS]
    pairs = [
        (Item(row["question"], row["ground_truth"].rpartition("A: ")[2].strip()), row[solver]["solution"])
        for row, solver in judged
    ]
    scores = score_responses(protocol, pairs)
    differing = 0
    for (row, solver), (item, response), score in zip(judged, pairs, scores, strict=True):
        if score.others["flexible"] != row[solver]["is_correct"]:
            differing += 1
            print(f"  differs: {solver}, labelled {row[solver]['is_correct']}, gold {item.gold}: {response[-70:]!r}")
    return [Row(f"GSM8K: {len(pairs)} solutions, differing", str(differing), "0", differing == 0)]


def mmlu_pro_extraction(data: Path) -> list[Row]:
    """Our letters against the published ones, except where those were drawn at random."""
    path = data / SAMPLES["mmlu_pro"]
    if not path.is_file():
        return skipped("MMLU-Pro letters against published", path.name)
    rows = read(path)
    items = load_items(benchmark("mmlu_pro"), str(path), partial=True)
    protocol = benchmark("mmlu_pro").protocols["official"]
    scores = score_responses(protocol, [(i, row["generated_text"]) for i, row in zip(items, rows, strict=True)])
    read_letters = [(score, row) for score, row in zip(scores, rows, strict=True) if score.answer is not None]
    differing = [(score.answer, row) for score, row in read_letters if score.answer != row["pred"]]
    for answer, row in differing:
        print(f"  differs: question {row['question_id']}, read {answer}, published {row['pred']}")
    published = sum(row["pred"] == row["answer"] for row in rows)
    guessing = sum(score.guessing or 0.0 for score in scores)
    return [
        Row(f"MMLU-Pro: {len(read_letters)} letters, differing", str(len(differing)), "0", not differing),
        Row("MMLU-Pro: invalid, a random draw where published", str(len(rows) - len(read_letters))),
        Row("MMLU-Pro: right; expected with guessing", f"{sum(s.correct for s in scores)}; {guessing:.1f}"),
        Row("MMLU-Pro: right as published, with its draws", str(published)),
    ]


def echoes(data: Path) -> list[Row]:
    """Golds said back in the form that each preset asks for."""
    rows = []
    for entry in BENCHMARKS:
        found = items_of(entry, data)
        if found is None:
            rows += skipped(f"{entry.title}: echoed golds", f"{SAMPLES.get(entry.name, entry.name + '.jsonl')}")
            continue
        for preset in PRESETS:
            protocol = entry.protocols[preset]
            scores = score_responses(protocol, [(item, entry.echo[preset](item)) for item in found])
            lost = [item for item, score in zip(found, scores, strict=True) if not score.correct]
            unmatchable = [item for item in lost if item.groups.get("task") == "linguini" and item.gold.endswith(".")]
            for item in lost:
                print(f"  {'unmatchable' if item in unmatchable else 'lost'}: {entry.name} {item.id} {item.gold!r}")
            name = f"{entry.title}, {preset}: {len(found)} echoed golds, lost"
            allowed = len(unmatchable)
            rows.append(Row(name, f"{len(lost)} ({allowed} unmatchable)", "0 others", len(lost) == allowed))
    return rows


def items_of(entry: Benchmark, data: Path) -> list[Item] | None:
    """The whole benchmark where AGENT0_BENCHMARKS has it, else the sample, else None."""
    if entry.generate is not None:
        return load_items(entry)
    root = os.environ.get(ROOT_VARIABLE)
    if root:
        try:
            return load_items(entry, root)
        except BenchmarkError as error:
            print(f"  {error}")
    sample = data / SAMPLES.get(entry.name, "none")
    return load_items(entry, str(sample), partial=True) if sample.is_file() else None


def constructed() -> list[Row]:
    """Every rule of the official BBEH and SuperGPQA scorers on responses made for it."""
    return [
        case_row("BBEH", BBEH_CASES, benchmark("bbeh").protocols["official"], ()),
        case_row("SuperGPQA", SUPER_GPQA_CASES, benchmark("super_gpqa").protocols["official"], OPTIONS),
    ]


def case_row(title: str, cases: tuple[Case, ...], protocol: Protocol, options: tuple[str, ...]) -> Row:
    """One line: how many cases come out otherwise than the official scorer has them."""
    scores = score_responses(protocol, [(Item("", case.gold, options), case.response) for case in cases])
    wrong = [case for case, score in zip(cases, scores, strict=True) if not as_expected(case, score, bool(options))]
    for case in wrong:
        print(f"  differs: {title}, {case.rule}: {case.response!r}")
    return Row(f"{title}: {len(cases)} constructed responses, differing", str(len(wrong)), "0", not wrong)


def as_expected(case: Case, score: Scored, letters: bool) -> bool:
    """Whether the verdict is the official one, and for letters also what was read."""
    return score.correct == case.accepted and (not letters or score.answer == case.answer)


def long_responses(count: int) -> list[Row]:
    """A model's worth of long responses through both presets of MMLU-Pro and the official one of SuperGPQA."""
    chooser = random.Random(0)
    words = (
        "we",
        "take",
        "Answer",
        "the",
        "answer",
        "is",
        "of",
        "mass",
        "A",
        "and",
        "B",
        "(so)",
        "$x^2$",
        "I",
        "follows.\n",
    )
    item = Item("Which?", "C", tuple(f"option number {n}" for n in range(10)))
    endings = ("The answer is (C).", "Answer: C", "\\boxed{C}", "answer is not known", "")
    pairs = []
    for number in range(count):
        body = " ".join(chooser.choices(words, k=RESPONSE_CHARACTERS // 5))[:RESPONSE_CHARACTERS]
        pairs.append((item, body + "\n" + endings[number % len(endings)]))
    rows = []
    for key, preset in (("mmlu_pro", "official"), ("mmlu_pro", "paper"), ("super_gpqa", "official")):
        entry = benchmark(key)
        before = time.perf_counter()
        score_responses(entry.protocols[preset], pairs)
        took = time.perf_counter() - before
        name = f"{count} long responses: {entry.title}, {preset}"
        rows.append(Row(name, f"{took:.1f} s", f"<= {SCORING_SECONDS:g} s", took <= SCORING_SECONDS))
    return rows


def hostile() -> list[Row]:
    """Time of every reading on texts of a million characters, and how it grows with their length."""
    item = Item("", "C", OPTIONS)
    worst_growth, worst_seconds = (0.0, ""), (0.0, "")
    protocols = [protocol for entry in BENCHMARKS for protocol in entry.protocols.values()]
    readings = {rule.extract for protocol in protocols for rule in (protocol.rule, *protocol.others.values())}
    for reading in sorted(readings, key=lambda function: function.__name__):
        for name, unit in HOSTILE.items():
            small = reading_seconds(reading, unit, SMALL, item)
            large = reading_seconds(reading, unit, LARGE, item)
            label = f"{name} by {reading.__name__}"
            worst_seconds = max(worst_seconds, (large, label))
            if large > 0.05:  # below this the clock and the caches are what is measured
                worst_growth = max(worst_growth, (large / small, label))
    limit = 2 * LARGE / SMALL  # a quadratic reading would give sixteen
    return [
        Row("hostile 1 MB responses, slowest", f"{worst_seconds[0]:.2f} s", "<= 10 s", worst_seconds[0] <= 10),
        Row("  which", worst_seconds[1]),
        Row(
            "time for four times the text, worst",
            f"{worst_growth[0]:.1f} x",
            f"<= {limit:g} x",
            worst_growth[0] <= limit,
        ),
        Row("  which", worst_growth[1]),
    ]


def runner() -> list[Row]:
    """An evaluation over the rollout engine, with the embedded model.

    Scoring has a bar of its own, that of the long responses: the runner is what turns an engine into an evaluation.
    """
    from evaluation_runner import measure  # torch takes seconds to import

    seconds = measure()
    return [
        Row(f"{seconds.samples} samples of the embedded model, engine alone", f"{seconds.engine:.2f} s"),
        Row("  through the runner, which keeps each", f"{seconds.sampling:.2f} s"),
        Row("  record and log for `inspect view`", f"{seconds.record + seconds.log:.2f} s"),
        Row("  overhead of the runner", f"{100 * seconds.overhead:.1f} %", "<= 15 %", seconds.overhead <= 0.15),
        Row("  record and log over the engine", f"{100 * seconds.written:.1f} %", "<= 15 %", seconds.written <= 0.15),
        Row(
            "  scoring their answers, none seen before",
            f"{1000 * seconds.scoring / seconds.samples:.1f} ms a sample",
            f"<= {SCORING_MS:g} ms",
            1000 * seconds.scoring / seconds.samples <= SCORING_MS,
        ),
    ]


def reading_seconds(extract: Callable[[str, Item], str | None], unit: str, length: int, item: Item) -> float:
    """CPU seconds of the better of two readings of a hostile text."""
    text = (unit * (length // len(unit) + 1))[:length] + "~"
    best = float("inf")
    for _ in range(2):
        before = time.process_time()
        extract(text, item)
        best = min(best, time.process_time() - before)
    return best


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of sample rows")
    parser.add_argument("--responses", type=int, default=RESPONSES, help="long responses to score")
    parser.add_argument("--only-runner", action="store_true", help="measure the runner alone")
    options = parser.parse_args()
    rows = []
    if not options.only_runner:
        rows += [*gsm8k_labels(options.data), *mmlu_pro_extraction(options.data), *constructed()]
        rows += [*echoes(options.data), *long_responses(options.responses), *hostile()]
    rows += runner()
    close_default_grader()
    for row in rows:
        verdict = "" if not row.bar else "met" if row.met else "MISSED"
        print(f"{row.name:56}{row.measured:>34}  {row.bar:10}{verdict}".rstrip())
    if options.check and not all(row.met for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
