"""Samples on disk: lines that a script can read, and what is no sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_evaluation import ROLLOUT, SANDBOX, echoing, opener, run, settings_for

from agent0.errors import UsageError
from agent0.evaluation.assignments import prepare
from agent0.evaluation.sample_runner import open_stores
from agent0.evaluation.sample_store import SAMPLES_FILE, SampleStore


def test_a_line_that_a_crash_cut_off_is_drawn_again(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    opened = opener(tokenizer, echoing(assignments, "paper"))
    run(assignments, tmp_path, tokenizer, opened)
    path = tmp_path / "gsm8k" / SAMPLES_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert len(open_stores(assignments, tmp_path, "digest", ROLLOUT, SANDBOX)["gsm8k"].records) == 5
    stores = run(assignments, tmp_path, tokenizer, opened)
    assert len(stores["gsm8k"].records) == 6
    assert path.read_bytes().count(b"\n") == 6


def test_a_damaged_line_is_named(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))
    path = tmp_path / "gsm8k" / SAMPLES_FILE
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(UsageError, match=r"Line 1 of .* is no finished sample"):
        open_stores(assignments, tmp_path, "digest", ROLLOUT, SANDBOX)


def test_samples_are_lines_that_a_script_can_read(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))
    rows = [json.loads(line) for line in (tmp_path / "gsm8k" / SAMPLES_FILE).read_text().splitlines()]
    assert {row["item"] for row in rows} == {question.item.id for question in assignments[0].questions}
    assert all(row["drawn_tokens"] > 0 and row["finish"] == "eos" for row in rows)


@pytest.mark.parametrize("content", [b"notes", b"caf\xe9", b'{"a": 1}', b'{"item":"a"}\nnotes', b"3\n", b"\xff\n"])
def test_what_is_no_sample_is_told_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="sample"):
        SampleStore(tmp_path, {})
    assert path.read_bytes() == content
