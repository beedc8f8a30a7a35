"""Every benchmark through the runner, interrupted and resumed, with a model that is opened as seldom as can be."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from scripted_evaluation import ROLLOUT, SANDBOX, echoing, opener, run, settings_for

from agent0.benchmarks.catalogue import BENCHMARKS
from agent0.benchmarks.spec import PRESETS, Preset
from agent0.config import RolloutSettings, SamplingSettings
from agent0.errors import Agent0Error
from agent0.evaluation.assignments import prepare
from agent0.evaluation.conclusion import judge
from agent0.evaluation.sample_runner import open_stores
from agent0.rollout.engine import Backend

PUBLISHED = tuple(entry.name for entry in BENCHMARKS if entry.generate is None)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_benchmark_runs_and_accepts_echoed_golds(
    name: str, preset: Preset, made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    settings = settings_for(made_up_rows, name, preset=preset, published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, preset)))
    [(_, score, _)] = judge(assignments, stores)
    assert score.mean_at_k.mean == 1.0
    assert (score.questions, score.samples, set(score.pass_at_k)) == (6, 2, {1, 2})
    assert score.rates["invalid"].mean == score.rates["truncated"].mean == 0.0
    assert score.cost.completion_tokens > 0


@pytest.mark.parametrize("concurrency", [None, 3])
def test_an_interrupted_run_goes_on_and_ends_as_if_nothing_had_happened(
    concurrency: int | None, made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    settings = settings_for(made_up_rows, "gsm8k", "math_500", published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    write = echoing(assignments, "paper")
    whole = run(assignments, tmp_path / "whole", tokenizer, opener(tokenizer, write, concurrency))
    asked: list[str] = []

    def failing(text: str) -> str:
        asked.append(text)
        if len(asked) > 17:
            raise Agent0Error("the machine is gone")
        return write(text)

    with pytest.raises(Agent0Error, match="the machine is gone"):
        run(assignments, tmp_path / "broken", tokenizer, opener(tokenizer, failing, concurrency))
    kept = open_stores(assignments, tmp_path / "broken", "digest", ROLLOUT, SANDBOX)
    finished = sum(len(store.records) for store in kept.values())
    assert finished >= 12  # all of the first benchmark
    asked.clear()

    def counting(text: str) -> str:
        asked.append(text)
        return write(text)

    resumed = run(assignments, tmp_path / "broken", tokenizer, opener(tokenizer, counting, concurrency))
    assert len(asked) == 24 - finished
    for name, store in whole.items():
        for key, record in store.records.items():
            again = resumed[name].records[key]
            assert (again.text, again.seed, again.finish) == (record.text, record.seed, record.finish)
    assert {record.attempt for record in resumed["math_500"].records.values()} <= {0, 1}


def test_a_stop_text_ends_a_response_without_truncating_it(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k", preset="official"), ROLLOUT, tokenizer, 0)
    assert assignments[0].budget.stop == "Question:"
    gold = {q.item.question: q.item.gold for q in assignments[0].questions}

    def write(text: str) -> str:
        return f"so\n#### {gold[max(gold, key=text.rfind)]}\n\nQuestion: next\n#### 99"

    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, write))
    [(_, score, _)] = judge(assignments, stores)
    assert score.score.mean == 1.0
    assert score.rates["truncated"].mean == 0.0


def test_the_model_is_opened_once_for_neighbours_with_the_same_decoding(
    made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    assignments = prepare(
        settings_for(made_up_rows, "gsm8k", "mmlu_pro", "amc_2023", published_samples=1), ROLLOUT, tokenizer, 0
    )
    budgets: list[tuple[float, int]] = []
    inner = opener(tokenizer, echoing(assignments, "paper"))

    def opened(rollout: RolloutSettings, sampling: SamplingSettings) -> AbstractContextManager[Backend]:
        budgets.append((sampling.temperature, rollout.max_response_tokens))
        return inner(rollout, sampling)

    run(assignments, tmp_path, tokenizer, opened)
    assert budgets == [(0.0, 8192), (0.6, 4096)]


def test_what_is_finished_opens_no_model(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))

    def refuse(rollout: RolloutSettings, sampling: SamplingSettings) -> AbstractContextManager[Backend]:
        raise AssertionError("nothing is left to draw")

    assert len(run(assignments, tmp_path, tokenizer, refuse)["gsm8k"].records) == 6


@pytest.mark.parametrize(
    ("name", "file", "rows"),
    [
        ("gsm8k", "gsm8k_test_100.jsonl", 100),
        ("super_gpqa", "super_gpqa_120.jsonl", 120),
        ("bbeh_mini", "bbeh_mini_92.jsonl", 92),
    ],
)
def test_real_rows_run_through_with_a_limit(
    name: str, file: str, rows: int, real_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    settings = settings_for(real_rows / file, name, limit=30)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))
    [(assignment, score, _)] = judge(assignments, stores)
    assert (score.questions, score.published) == (30, rows)
    assert sum(assignment.sizes.values()) == rows
    assert score.score.mean == pytest.approx(1.0)
