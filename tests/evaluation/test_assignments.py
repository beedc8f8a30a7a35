"""What is asked: which questions with which prompts, seeds and budgets, and what is refused before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from scripted_evaluation import ROLLOUT, settings_for

from agent0.config import EvaluationSettings
from agent0.errors import Agent0Error, UsageError
from agent0.evaluation.assignments import check_room, prepare
from agent0.seeds import derive_seed


def test_a_subset_is_stratified_and_keeps_its_seeds(made_up_rows: Path, tokenizer: Any) -> None:
    [whole] = prepare(settings_for(made_up_rows, "mmlu_pro"), ROLLOUT, tokenizer, 5)
    [subset] = prepare(settings_for(made_up_rows, "mmlu_pro", limit=4), ROLLOUT, tokenizer, 5)
    assert subset.is_subset
    assert (subset.stratum, subset.sizes, subset.published) == ("category", {"law": 3, "math": 3}, 6)
    assert [subset.stratum_of(question.item) for question in subset.questions].count("law") == 2
    seeds = {question.item.id: whole.seed_of(question, 0) for question in whole.questions}
    assert all(subset.seed_of(question, 0) == seeds[question.item.id] for question in subset.questions)
    [other] = prepare(settings_for(made_up_rows, "mmlu_pro", limit=4), ROLLOUT, tokenizer, 6)
    assert [q.item.id for q in other.questions] == [q.item.id for q in subset.questions]  # so that runs can be paired
    assert subset.detectable_difference() > whole.detectable_difference()


def test_worked_examples_are_left_out_until_the_prompt_is_short_enough(
    made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    for path in made_up_rows.glob("mmlu_pro*"):
        shutil.copy(path, tmp_path)
    row = json.loads((tmp_path / "mmlu_pro.jsonl").read_text().splitlines()[0])
    long = {"question_id": 99, "question": "and " * 520 + "which?"}
    with (tmp_path / "mmlu_pro.jsonl").open("a") as file:
        file.writelines(json.dumps({**row, **more}) + "\n" for more in (long, {**long, "question": "and " * 3000}))
    [assignment] = prepare(settings_for(tmp_path, "mmlu_pro", preset="official"), ROLLOUT, tokenizer, 0)
    shown = [question.messages[0]["content"].count("The answer is (") for question in assignment.questions]
    lengths = [len(question.prompt) for question in assignment.questions]
    assert shown[:6] == [5] * 6
    assert 0 < shown[6] < 5
    assert shown[7] == 0
    assert max(lengths[:7]) < 2048 < lengths[7]


def test_a_harmonic_mean_needs_every_task(made_up_rows: Path, tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="a question of every task"):
        prepare(settings_for(made_up_rows, "bbeh", limit=1, preset="official"), ROLLOUT, tokenizer, 0)


def test_the_embedded_benchmark_keeps_the_seeds_of_training_runs(tokenizer: Any) -> None:
    settings = EvaluationSettings(questions_per_level=2, samples=3, logs=False)
    [assignment] = prepare(settings, ROLLOUT, tokenizer, 7)
    assert len(assignment.questions) == 10
    assert assignment.budget.response == ROLLOUT.max_response_tokens
    seeds = [assignment.seed_of(question, sample) for question in assignment.questions for sample in range(3)]
    assert seeds == [derive_seed(derive_seed(7, 0), number) for number in range(30)]


def test_bad_settings_are_sentences(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no benchmark 'gsm9k'"):
        prepare(settings_for(made_up_rows, "gsm8k", "gsm9k"), ROLLOUT, tokenizer, 0)
    with pytest.raises(UsageError, match="named twice"):
        prepare(settings_for(made_up_rows, "gsm8k", "gsm8k"), ROLLOUT, tokenizer, 0)
    with pytest.raises(Agent0Error, match=r"put gsm8k\.jsonl"):
        prepare(settings_for(tmp_path, "gsm8k"), ROLLOUT, tokenizer, 0)
    with pytest.raises(Agent0Error, match="has 6 rows where 1319 are published"):
        prepare(settings_for(made_up_rows, "gsm8k", sampled_rows=False), ROLLOUT, tokenizer, 0)


def test_what_a_model_cannot_hold_is_found_before_anything_is_drawn(made_up_rows: Path, tokenizer: Any) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k", "aime_2025", preset="official"), ROLLOUT, tokenizer, 0)
    with pytest.raises(UsageError, match=r"aime_2025 has prompts .* knows 32768 .*evaluation\.max_response_tokens"):
        check_room(assignments, 32_768)
    check_room(assignments, 40_960)
    check_room(assignments, None)
