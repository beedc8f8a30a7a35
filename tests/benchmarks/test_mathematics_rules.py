from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.benchmarks.catalogue import benchmark
from agent0.benchmarks.loading import load_items, parse_rows
from agent0.benchmarks.mathematics_rules import (
    GSM8K_FLEXIBLE,
    GSM8K_STRICT,
    boxed,
    gsm8k_flexible,
    gsm8k_strict,
    minerva_answer,
    same_integer,
)
from agent0.benchmarks.shipped.bbeh import bbeh_answer, bbeh_boxed, bbeh_reference, fuzzy_match
from agent0.benchmarks.spec import Item, Protocol
from agent0.evaluation.scoring import score_responses
from tests.support.reported_cases import reported_cases

READINGS = (boxed, gsm8k_strict, gsm8k_flexible, minerva_answer, bbeh_answer, bbeh_boxed)


def constructed_cases() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "evaluation_cases.py"
    spec = importlib.util.spec_from_file_location("evaluation_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluation_cases"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


CASES = constructed_cases()


@pytest.mark.parametrize("case", CASES.BBEH_CASES, ids=lambda case: case.rule)
def test_bbeh_accepts_what_its_official_scorer_accepts(case) -> None:
    [score] = score_responses(benchmark("bbeh").protocols["official"], [(Item("", case.gold), case.response)])
    assert score.correct is case.accepted


BOXED_TARGETS = [
    ("\\text{yes},\\,\\text{no}", "yes, no"),
    ("(\\textbf{A})", "(A)"),
    ("$\\mathrm{B}$", "(B)"),
    ("12\\%.", "12%"),
    ("\\$5", "$5"),
    ("\\{ [ ] \\}", "{ [ ] }"),
    ("\\texttt{a\\_b}", "a_b"),
    ("1{,}267", "1,267"),
    ("\\frac{1}{2}", "\\frac{1}{2}"),
    ("} ]", "} ]"),
]


@pytest.mark.parametrize(("content", "target"), BOXED_TARGETS)
def test_bbeh_reads_boxes_without_their_latex(content: str, target: str) -> None:
    [score] = score_responses(benchmark("bbeh").protocols["paper"], [(Item("", target), f"\\boxed{{{content}}}")])
    assert score.correct


def test_what_people_reported_of_bbeh_is_judged_as_they_meant_it() -> None:
    cases = reported_cases("bbeh")
    pairs = [(Item("", case["input"]["gold"]), case["input"]["text"]) for case in cases]
    scores = score_responses(benchmark("bbeh").protocols["paper"], pairs)
    assert [(case["id"], score.correct) for case, score in zip(cases, scores, strict=True)] == [
        (case["id"], case["expected"]) for case in cases
    ]


@pytest.mark.parametrize(
    ("solution", "gold"),
    [
        ("our answer is $\\boxed 2$.", "2"),
        ("first $\\boxed{1}$, then $\\boxed \\frac12$", "\\frac12"),
        ("first $\\boxed 1$, then $\\boxed{3}$", "3"),
    ],
)
def test_a_box_without_braces_holds_the_rest_of_its_formula(solution: str, gold: str) -> None:
    [item] = parse_rows(benchmark("math"), [{"problem": "q", "solution": solution}], "rows")
    assert item.gold == gold


def test_rows_that_people_reported_are_read() -> None:
    for case in reported_cases("rows"):
        [item] = parse_rows(benchmark(case["input"]["benchmark"]), [case["input"]["row"]], case["id"])
        assert item.gold == case["expected"]


@pytest.mark.parametrize("case", CASES.SUPER_GPQA_CASES, ids=lambda case: case.rule)
def test_super_gpqa_reads_what_its_official_scorer_reads(case) -> None:
    item = Item("", case.gold, CASES.OPTIONS)
    [score] = score_responses(benchmark("super_gpqa").protocols["official"], [(item, case.response)])
    assert (score.answer, score.correct) == (case.answer, case.accepted)


@pytest.mark.parametrize(
    ("response", "strict", "flexible"),
    [
        ("so 18\n#### 18", "18", "18"),
        ("#### 2,125.", "2,125.", "2,125."),
        ("#### -5 and 7", "-5", "7"),
        ("It costs $3.50 in all", None, "$3.50"),
        ("nothing", None, None),
    ],
)
def test_gsm8k_reads_strictly_and_flexibly(response: str, strict: str | None, flexible: str | None) -> None:
    assert gsm8k_strict(response, Item("", "")) == strict
    assert gsm8k_flexible(response, Item("", "")) == flexible


def test_gsm8k_compares_text_without_signs_and_commas() -> None:
    item = Item("", "2125")
    verdicts = GSM8K_STRICT.compare([(item, "2,125."), (item, "$2125"), (item, "2125.0")])
    assert [verdict.correct for verdict in verdicts] == [True, True, False]


def test_minerva_reads_its_closing_sentence_or_a_box() -> None:
    item = Item("", "")
    assert minerva_answer("Final Answer: The final answer is $4.5e33$. I hope it is correct.", item) == "$4.5e33$"
    assert minerva_answer("thus \\boxed{4.5e33}", item) == "4.5e33"
    assert minerva_answer("Final Answer: The final answer is", item) is None


@pytest.mark.parametrize(
    ("answer", "right"),
    [("25", True), ("025", True), ("$25$", True), ("25^\\circ", True), ("\\frac{50}{2}", True), ("25.0001", False)],
)
def test_aime_compares_integers(answer: str, right: bool) -> None:
    [verdict] = same_integer([(Item("", "25"), answer)])
    assert verdict.correct is right


def test_a_long_wrong_integer_is_wrong_at_once() -> None:
    [verdict] = same_integer([(Item("", "25"), "2" * 1_000_000)])
    assert not verdict.correct


@given(st.text(max_size=30))
def test_bbeh_accepts_every_echoed_target_but_those_with_a_final_full_stop(target: str) -> None:
    reference = bbeh_reference(target)
    plain = target.strip().isalnum() and reference == reference.strip()
    answer = bbeh_answer(f"The answer is: {target}", Item("", target))
    if plain:
        assert answer is not None
        assert fuzzy_match(answer, reference)
    if reference.endswith("."):
        assert answer != reference


@pytest.mark.parametrize(
    "unit", ["$", "1,", "-", "#### ", "{", "\\boxed{", "The answer is: ", "I hope it is correct", " "]
)
@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.__name__)
def test_four_times_the_text_takes_about_four_times_the_time(reading, unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit)) + "~"
        before = time.process_time()
        reading(text, Item("", "7"))
        return time.process_time() - before

    shorter, longer = min(seconds(100_000), seconds(100_000)), min(seconds(400_000), seconds(400_000))
    assert longer < 8 * shorter + 0.1


def test_responses_without_an_answer_are_invalid_and_guessing_is_a_figure_beside() -> None:
    protocol = benchmark("mmlu_pro").protocols["official"]
    item = Item("", "B", ("x", "y", "z", "w"))
    empty, wrong, right, missing = score_responses(
        protocol, [(item, ""), (item, "The answer is (A)"), (item, "The answer is (B)"), (item, None)]
    )
    assert (empty.status, empty.guessing) == ("invalid", 0.25)
    assert (wrong.status, wrong.guessing) == ("wrong", 0.0)
    assert (right.status, right.guessing) == ("correct", 1.0)
    assert missing.status == "error"
    assert right.others == {"first step": True}


def test_gsm8k_model_solutions_score_as_their_labels_say(real_rows: Path) -> None:
    import json

    lines = (real_rows / "gsm8k_model_solutions_100.jsonl").read_text(encoding="utf-8").splitlines()
    protocol: Protocol = benchmark("gsm8k").protocols["official"]
    assert protocol.others["flexible"] is GSM8K_FLEXIBLE
    pairs, labels = [], []
    for row in map(json.loads, lines):
        item = Item(row["question"], row["ground_truth"].rpartition("A: ")[2])
        for solver in ("6b_finetuning", "175b_verification"):
            pairs.append((item, row[solver]["solution"]))
            labels.append(row[solver]["is_correct"])
    assert [score.others["flexible"] for score in score_responses(protocol, pairs)] == labels


def test_mmlu_pro_letters_are_the_published_ones_where_those_were_not_drawn(real_rows: Path) -> None:
    import json

    path = real_rows / "mmlu_pro_outputs_300.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    items = load_items(benchmark("mmlu_pro"), str(path), partial=True)
    protocol = benchmark("mmlu_pro").protocols["official"]
    scores = score_responses(protocol, [(i, row["generated_text"]) for i, row in zip(items, rows, strict=True)])
    read = [(score.answer, row["pred"]) for score, row in zip(scores, rows, strict=True) if score.answer]
    assert len(read) == 284
    assert [ours for ours, _ in read] == [published for _, published in read]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("gsm8k", "gsm8k_test_100.jsonl"),
        ("mmlu_pro", "mmlu_pro_outputs_300.jsonl"),
        ("super_gpqa", "super_gpqa_120.jsonl"),
        ("bbeh_mini", "bbeh_mini_92.jsonl"),
    ],
)
def test_every_echoed_gold_of_real_rows_is_accepted(name: str, file: str, real_rows: Path) -> None:
    entry = benchmark(name)
    items = load_items(entry, str(real_rows / file), partial=True)
    for preset, protocol in entry.protocols.items():
        scores = score_responses(protocol, [(item, entry.echo[preset](item)) for item in items])
        assert all(score.correct for score in scores)


@pytest.mark.parametrize("name", ["math_500", "minerva", "olympiad"])
@pytest.mark.parametrize(
    "gold",
    [
        "\\$32,\\!348",
        "\\left( 3, \\frac{\\pi}{2} \\right)",
        "\\text{(C)}",
        "$f(x)=x$",
        "x \\in [-2,7]",
        "4.5e33",
        "\\{1, 2\\}",
        "1,2",
        "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
        "90^\\circ",
        "5.6 \\mathrm{~km}",
        "\\arctan{10}",
        "y = 2x + 3",
        "$\\frac{3}{4}$ and $\\frac{1}{2}$",
    ],
)
def test_a_gold_of_any_shape_is_accepted_when_echoed(name: str, gold: str) -> None:
    entry = benchmark(name)
    item = Item("", gold)
    for preset, protocol in entry.protocols.items():
        [score] = score_responses(protocol, [(item, entry.echo[preset](item))])
        assert score.status == "correct", (preset, score)
