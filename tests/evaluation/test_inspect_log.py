"""The logs, as inspect_ai reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from scripted_evaluation import ROLLOUT, opener, run, settings_for

from agent0.evaluation.assignments import prepare
from agent0.evaluation.conclusion import Subject, conclude, judge

PROGRAM = "```python\nprint(6 * 7)\n```\n"


def test_programs_run_and_the_log_shows_turns_and_calls(
    made_up_rows: Path, tokenizer: Any, sandbox: Any, tmp_path: Path
) -> None:
    log = pytest.importorskip("inspect_ai.log")
    settings = settings_for(made_up_rows, "gsm8k", tool=True, logs=True, published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    opened = opener(tokenizer, lambda text: "It is \\boxed{42}" if "42\n```" in text else PROGRAM)
    stores = run(assignments, tmp_path, tokenizer, opened, sandbox)
    subject = Subject("scripted", "nowhere", "digest")
    conclude(judge(assignments, stores), subject, settings, ROLLOUT, 0, 0.0, tmp_path)
    read = log.read_eval_log(str(tmp_path / "logs" / "gsm8k.eval"))
    assert read.status == "success"
    assert len(read.samples) == 12
    sample = read.samples[0]
    assert [event.event for event in sample.events] == ["model", "tool", "model"]
    assert sample.events[1].arguments == {"code": "print(6 * 7)\n"}
    assert sample.events[1].result == "42\n"
    assert [message.role for message in sample.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert sample.scores["rule"].value == "I"
    assert sample.scores["rule"].answer == "42"
    assert {s.epoch for s in read.samples} == {1, 2}


def test_inspect_ai_reads_every_field_of_the_logs(
    made_up_rows: Path, tokenizer: Any, sandbox: Any, tmp_path: Path
) -> None:
    log = pytest.importorskip("inspect_ai.log")
    settings = settings_for(made_up_rows, "gsm8k", "mmlu_pro", tool=True, logs=True, published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    long_answer = "7" * 3000
    opened = opener(tokenizer, lambda text: f"\\boxed{{{long_answer}}}" if "42\n```" in text else PROGRAM)
    stores = run(assignments, tmp_path, tokenizer, opened, sandbox)
    judged = judge(assignments, stores)
    conclude(judged, Subject("scripted", "nowhere", "digest"), settings, ROLLOUT, 0, 0.0, tmp_path)
    for assignment, _, outcomes in judged:
        path = str(tmp_path / "logs" / f"{assignment.benchmark.name}.eval")
        read = log.read_eval_log(path)
        records = {(r.item, r.sample + 1): r for outcome in outcomes for r in outcome.records}
        assert sorted((sample.id, sample.epoch) for sample in read.samples) == sorted(records)
        summaries = {(summary.id, summary.epoch): summary for summary in log.read_eval_log_sample_summaries(path)}
        for sample in read.samples:
            record = records[sample.id, sample.epoch]
            assert summaries[sample.id, sample.epoch] == sample.summary()
            written = json.loads(ZipFile(path).read(f"samples/{sample.id}_epoch_{sample.epoch}.json"))
            kept = log.read_eval_log_sample(path, sample.id, sample.epoch)
            understood = json.loads(kept.model_dump_json(exclude_none=True))
            for key in written.keys() - {"events", "events_data"}:
                assert understood[key] == written[key], key
            assert sample.output.completion == record.turns[-1]
            first, tool, last = sample.events
            assert first.input == sample.messages[:2]
            assert last.input == sample.messages[:4]
            assert (first.output.message, last.output.message) == (sample.messages[2], sample.messages[4])
            assert (tool.function, tool.metadata) == ("python", {"status": "ok"})
            assert last.config.seed == record.seed
            assert sample.model_usage["agent0/scripted"].output_tokens == record.drawn_tokens
