from __future__ import annotations

import numpy as np
import pytest

from agent0.benchmarks.catalogue import benchmark
from agent0.benchmarks.spec import Item
from agent0.errors import UsageError
from agent0.evaluation.scoring import Scored
from agent0.evaluation.summary import Graded, harmonic_mean, summarise


def graded(groups: dict[str, str], *correct: bool, invalid: int = 0, others: tuple[str, ...] = ()) -> Graded:
    samples = [
        Scored("A", "correct" if right else "wrong", {name: right for name in others}, float(right))
        for right in correct
    ]
    samples += [Scored(None, "invalid", {name: False for name in others}, 0.25)] * invalid
    return Graded(Item("q", "A", groups=groups), tuple(samples))


def test_the_harmonic_mean_punishes_tasks_without_a_right_answer() -> None:
    tasks = {str(n): [0.0] * 100 for n in range(6)} | {str(n): [1.0] * 13 + [0.0] * 87 for n in range(6, 23)}
    assert 100 * harmonic_mean(tasks).mean == pytest.approx(3.2, abs=0.05)


def test_the_harmonic_interval_agrees_with_a_bootstrap() -> None:
    generator = np.random.default_rng(0)
    tasks = {str(n): list((generator.random(200) < share).astype(float)) for n, share in enumerate((0.2, 0.4, 0.6))}
    interval = harmonic_mean(tasks)
    drawn = [
        harmonic_mean({name: list(generator.choice(values, 200)) for name, values in tasks.items()}).mean
        for _ in range(500)
    ]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * float(np.std(drawn)), rel=0.12)


def test_a_task_with_nothing_right_still_has_an_error() -> None:
    nothing = harmonic_mean({"a": [0.0] * 200, "b": [0.0] * 200})
    assert nothing.mean == pytest.approx(0.01)
    assert nothing.low < 0.01 < nothing.high < 0.03
    mixed = {"a": [0.0] * 200, "b": [1.0] * 30 + [0.0] * 170}
    one_right = {"a": [1.0] + [0.0] * 199, "b": mixed["b"]}
    assert harmonic_mean(mixed).high > harmonic_mean(one_right).mean


def test_bbeh_is_harmonic_where_official_and_micro_where_the_paper() -> None:
    entry = benchmark("bbeh")
    runs = [graded({"task": "a"}, True, others=("boxed",)), graded({"task": "b"}, False, others=("boxed",))] * 5
    official = summarise(entry, entry.protocols["official"], runs)
    paper = summarise(entry, entry.protocols["paper"], runs)
    assert paper.score.mean == official.micro.mean == 0.5
    assert official.score.mean == pytest.approx(2 / (1 / 101 + 1 / 1) / 100)


def test_super_gpqa_has_four_averages() -> None:
    entry = benchmark("super_gpqa")
    runs = [
        graded({"discipline": "S", "field": "S/P", "subfield": "S/P/x", "difficulty": "easy"}, True),
        graded({"discipline": "S", "field": "S/P", "subfield": "S/P/y", "difficulty": "hard"}, True),
        graded({"discipline": "S", "field": "S/C", "subfield": "S/C/z", "difficulty": "hard"}, False),
        graded({"discipline": "E", "field": "E/M", "subfield": "E/M/w", "difficulty": "hard"}, False),
    ]
    summary = summarise(entry, entry.protocols["paper"], runs)
    assert summary.micro.mean == 0.5
    assert summary.macro["subfield"] == 0.5
    assert summary.macro["field"] == pytest.approx(1 / 3)
    assert summary.macro["discipline"] == pytest.approx((2 / 3 + 0) / 2)
    assert summary.groups["difficulty"]["hard"].mean == pytest.approx(1 / 3)


def test_rates_and_guessing_stand_beside_the_score() -> None:
    entry = benchmark("mmlu_pro")
    runs = [graded({"category": "law"}, True, invalid=1), graded({"category": "law"}, False, invalid=1)]
    summary = summarise(entry, entry.protocols["paper"], runs)
    assert summary.score.mean == 0.25
    assert summary.rates["invalid"].mean == 0.5
    assert summary.others["with guessing"].mean == pytest.approx((0.625 + 0.125) / 2)
    assert (summary.items, summary.samples) == (2, 4)
    assert "truncated" not in summary.rates


def test_truncation_is_said_of_every_sample() -> None:
    entry = benchmark("mmlu_pro")
    run = graded({}, True, False)
    whole = Graded(run.item, run.samples, (True, False))
    assert summarise(entry, entry.protocols["paper"], [whole]).rates["truncated"].mean == 0.5
    with pytest.raises(UsageError, match="truncated"):
        summarise(entry, entry.protocols["paper"], [Graded(run.item, run.samples, (True,))])
    with pytest.raises(UsageError, match="at least one sample"):
        summarise(entry, entry.protocols["paper"], [])
