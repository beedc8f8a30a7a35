from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from agent0.benchmarks.catalogue import benchmark, known_tasks
from agent0.benchmarks.shipped.domain_questions import Source
from agent0.benchmarks.spec import BenchmarkError
from agent0.cli.main import app
from agent0.domains import Domain, WorkedTask, domain_names, get_domain, in_reserved_fifth
from agent0.errors import UsageError
from agent0.evaluation.scoring import score_responses

DRAWING = [name for name in domain_names() if get_domain(name).draw]


def counting(rng: random.Random) -> WorkedTask:
    number = rng.randint(1, 10_000)
    return WorkedTask(f"What follows {number}?", str(number + 1), f"print({number}+1)", ("even", "odd")[number % 2])


COUNTING = replace(
    get_domain("arithmetic"),
    rejection=lambda question: None,
    known_answer=lambda question: str(int(question.split()[-1].strip("?")) + 1),
    held_out=in_reserved_fifth,
    draw=counting,
)


@pytest.mark.parametrize("name", [*DRAWING, "agent0.domains.word_problems:DOMAIN"])
def test_a_domain_is_asked_what_it_writes_and_holds_out(name: str) -> None:
    entry, domain = benchmark(f"domain:{name}"), get_domain(name)
    assert entry.generate is not None
    items = entry.generate(5)
    assert items == entry.generate(5)
    assert len({item.question for item in items}) == len(items)
    assert all(domain.held_out(item.question) for item in items)
    assert all(domain.known_answer(item.question) == item.gold for item in items)
    groups = Counter(item.groups["group"] for item in items)
    assert set(groups.values()) == {5}
    assert len(items) * entry.per_group == 5 * entry.dataset.rows
    responses = [(item, entry.echo["paper"](item)) for item in items]
    assert all(scored.correct for scored in score_responses(entry.protocols["paper"], responses))


def test_fewer_questions_are_the_first_of_more() -> None:
    few, many = Source("counting", COUNTING).held_out(3), Source("counting", COUNTING).held_out(9)
    assert few == [*many[:3], *many[9:12]]


def test_a_domain_without_kinds_of_tasks_is_one_kind() -> None:
    plain = replace(COUNTING, draw=lambda rng: replace(counting(rng), group=""))
    assert {item.groups["group"] for item in Source("counting", plain).held_out(4)} == {"all"}


def test_probes_are_never_held_out() -> None:
    domain = get_domain("word_problems")
    probes = known_tasks("domain:word_problems", 200)
    assert len({probe.question for probe in probes}) == 200
    assert not any(domain.held_out(probe.question) for probe in probes)
    assert all(domain.known_answer(probe.question) == probe.answer for probe in probes)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (replace(COUNTING, draw=None), "has no draw"),
        (replace(COUNTING, rejection=lambda question: "too_dull"), r"its own rules reject \(too_dull\)"),
        (replace(COUNTING, known_answer=lambda question: "42"), "knows another answer, '42'"),
        (replace(COUNTING, held_out=lambda question: False), "holds out none of 2000 tasks"),
        (replace(COUNTING, draw=lambda rng: counting(random)), "other tasks from the same seed"),  # type: ignore[arg-type]
    ],
)
def test_a_domain_that_cannot_be_a_benchmark_is_one_sentence(domain: Domain, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Source("counting", domain).groups()


def test_a_domain_with_too_few_questions_says_how_many_there_are() -> None:
    small = replace(COUNTING, draw=lambda rng: WorkedTask(f"What follows {(n := rng.randint(1, 40))}?", str(n + 1), ""))
    reserved = sum(in_reserved_fifth(f"What follows {number}?") for number in range(1, 41))
    with pytest.raises(BenchmarkError, match=f"has {reserved} different questions of all, and 39 are wanted"):
        Source("counting", small).held_out(39)
    with pytest.raises(BenchmarkError, match=f"has {40 - reserved} tasks that are not held out"):
        Source("counting", small).probes(39)


def test_unknown_domains_are_named_before_anything_is_asked() -> None:
    with pytest.raises(UsageError, match="did you mean 'arithmetic'"):
        benchmark("domain:arithmetics")
    with pytest.raises(UsageError, match=re.escape("domain:NAME")):
        benchmark("domains")


def test_the_list_of_benchmarks_says_that_domains_are_some() -> None:
    shown = CliRunner().invoke(app, ["benchmarks", "list"])
    assert "domain:NAME" in shown.stdout
    assert all(name in shown.stdout for name in DRAWING)
