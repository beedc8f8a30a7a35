"""What is made of samples: answers, invalid ones, scores with their intervals, and the record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_evaluation import ROLLOUT, echoing, opener, run, settings_for

from agent0.benchmarks.catalogue import benchmark
from agent0.benchmarks.spec import Preset
from agent0.cli.invalid_samples import invalid_text
from agent0.evaluation.assignments import prepare
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.executor_scores import executor_scores
from agent0.evaluation.results import read_questions, read_report
from agent0.evaluation.sample_store import SampleRecord, read_samples
from agent0.evaluation.scorecard import invalid_samples, response_of


def test_samples_hold_their_question_and_invalid_ones_are_told_with_it(
    made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k", published_samples=2), ROLLOUT, tokenizer, 0)
    right = echoing(assignments, "paper")
    first = assignments[0].questions[0].item.question
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, lambda p: right(p) if first in p else "No idea."))
    asked = {question.item.id: question.item.question for question in assignments[0].questions}
    assert {record.item: record.question for record in read_samples(tmp_path / "gsm8k")} == asked
    [(_, score, outcomes)] = judge(assignments, stores)
    assert score.rates["invalid"].mean == 5 / 6
    invalid = invalid_samples(outcomes, 3)
    assert len({record.item for record in invalid}) == 3
    assert not any(record.question == first for record in invalid)
    told = invalid_text("gsm8k", invalid)
    assert told.count("wrote  No idea.   (eos)") == 3
    assert all(record.question[-20:] in told for record in invalid)


def test_the_record_names_the_revision_that_was_read(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    [assignment] = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    assert assignment.benchmark.dataset.revision
    for number, revision in enumerate((None, "c0ffee")):
        read = [replace(assignment, revision=revision)]
        stores = run(read, tmp_path / str(number), tokenizer, opener(tokenizer, echoing(read, "paper")))
        [(_, score, _)] = judge(read, stores)
        assert score.dataset_revision == revision


@pytest.mark.parametrize(
    ("preset", "printed", "answered", "right"),
    [
        ("paper", "\\boxed{42}", "I do not know.", False),
        ("paper", "\\boxed{7}", "It is \\boxed{42}", True),
        ("official", "#### 42", "I do not know.", False),
        ("official", "Question:", "It is\n#### 42", True),
    ],
)
def test_an_answer_is_read_from_what_the_model_wrote_and_not_from_what_its_program_printed(
    preset: Preset, printed: str, answered: str, right: bool, tokenizer: Any, sandbox: Any, tmp_path: Path
) -> None:
    row = {"question": "Which?", "answer": "so\n#### 42"}
    (tmp_path / "gsm8k.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "gsm8k.shots.jsonl").write_text((json.dumps({**row, "answer": "so\n#### 1"}) + "\n") * 5)
    [assignment] = prepare(settings_for(tmp_path, "gsm8k", preset=preset, tool=True), ROLLOUT, tokenizer, 0)
    program = f"```python\nprint({printed[:3]!r} + {printed[3:]!r})\n```\n"
    opened = opener(tokenizer, lambda text: answered if f"{printed}\n```" in text else program)
    stores = run([assignment], tmp_path / "out", tokenizer, opened, sandbox)
    [record] = stores["gsm8k"].records.values()
    assert record.tool_calls[0].observation == f"{printed}\n"
    assert printed in record.text
    assert response_of(assignment.protocol, record) == f"{program}\n{answered}"
    [(_, score, _)] = judge([assignment], stores)
    assert score.score.mean == float(right)


@pytest.mark.parametrize(("stop", "read"), [((), "One.\nQuestion: 2"), (("Question:",), "One.\n")])
def test_a_response_without_a_tool_call_is_read_as_it_is(stop: tuple[str, ...], read: str) -> None:
    protocol = benchmark("gsm8k").protocols["paper"]
    protocol = replace(protocol, decoding=replace(protocol.decoding, stop=stop))
    record = SampleRecord(
        item="q", sample=0, seed=0, text="One.\nQuestion: 2", finish="eos", prompt_tokens=1, drawn_tokens=1
    )
    assert response_of(protocol, record) == read


def test_the_record_pairs_models_by_question(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    settings = settings_for(made_up_rows, "gsm8k", "bbeh", preset="official")
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    write = echoing(assignments, "official")
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, lambda text: write(text) if "11" in text else "?"))
    judged = judge(assignments, stores, gpus=2)
    conclude(judged, Subject("half", "nowhere", "digest", 2), settings, ROLLOUT, 0, 0.0, tmp_path)
    report = read_report(str(tmp_path))
    assert [score.benchmark for score in report.benchmarks] == ["gsm8k", "bbeh"]
    assert report.benchmarks[1].aggregation == "harmonic"
    assert report.benchmarks[1].score.mean < report.benchmarks[1].mean_at_k.mean
    assert report.benchmarks[0].cost.gpu_hours is not None
    questions = read_questions(str(tmp_path), report.benchmarks[1])
    assert {question.group for question in questions.values()} == {"linguini", "boolean"}
    scores = executor_scores(judged)
    assert list(scores.levels) == ["gsm8k", "bbeh"]
    assert scores.ci_low <= scores.accuracy <= scores.ci_high


def test_a_subset_in_which_nothing_varies_has_an_interval(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "mmlu_pro", limit=4), ROLLOUT, tokenizer, 0)
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, lambda text: "I do not know"))
    [(_, score, _)] = judge(assignments, stores)
    assert score.score.mean == score.score.low == 0.0
    assert score.score.high > 0.2
