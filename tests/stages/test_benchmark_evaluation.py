from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent0.config import EvaluationSettings, RolloutSettings, SandboxSettings, TrackingSettings
from agent0.errors import Agent0Error
from agent0.report.history import ExecutorScores
from agent0.stages import Stage
from agent0.stages.benchmark_evaluation import run_benchmark_evaluation

ROLLOUT = RolloutSettings(max_prompt_tokens=96, max_response_tokens=8, max_observation_tokens=8, batch_size=8)


@pytest.fixture(scope="module")
def model(random_model: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    random_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def evaluate(model: Path, output: Path, **fields: Any) -> dict[str, float]:
    settings = EvaluationSettings.model_validate({"logs": False, "tool": False, "questions_per_level": 2} | fields)
    stage = Stage.untracked("benchmark_evaluation")
    return run_benchmark_evaluation(
        stage,
        executor_model=model,
        output=output,
        rollout=ROLLOUT,
        sandbox=SandboxSettings(preload=(), memory_mb=256),
        evaluation=settings,
        tracking=TrackingSettings(),
        output_uri=str(output),
    ).metrics


def scores(output: Path) -> ExecutorScores:
    return ExecutorScores.model_validate_json((output / "scores.json").read_text())


def test_the_embedded_benchmark_is_scored_by_level(model: Path, tmp_path: Path) -> None:
    metrics = evaluate(model, tmp_path / "out", samples=2)
    found = scores(tmp_path / "out")
    assert list(found.levels) == ["2x1", "2x2", "3x2", "4x2", "5x3"]
    assert (found.n, found.samples) == (10, 2)
    assert {"eval/accuracy", "eval/accuracy_5x3", "system/generated_tokens"} <= set(metrics)
    assert (tmp_path / "out" / "tiny" / "samples.jsonl").read_text().count("\n") == 20


def test_what_an_evaluation_can_show_is_said_before_it_runs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "progress.jsonl"
    monkeypatch.setenv("AGENT0_PROGRESS", str(events))
    evaluate(model, tmp_path / "out", samples=2)
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [event["kind"] for event in told][:2] == ["note", "step"]
    assert told[0]["message"].startswith("tiny: 10 questions, 2 samples of each; the least difference")
    assert told[0]["message"].endswith(("points", "nothing"))


def test_published_benchmarks_are_scored_by_name(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("gsm8k", "amc_2023"):
        rows = [{"question": f"Which is {n}?", "answer": n if name == "amc_2023" else f"#### {n}"} for n in range(3)]
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = evaluate(
        model,
        tmp_path / "out",
        benchmarks=["gsm8k", "amc_2023"],
        data=str(data),
        sampled_rows=True,
        max_response_tokens=8,
        published_samples=2,
    )
    found = scores(tmp_path / "out")
    assert list(found.levels) == ["gsm8k", "amc_2023"]
    assert found.n == 6
    assert "eval/accuracy_gsm8k" in metrics
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [entry["decoding"]["temperature"] for entry in record["benchmarks"]] == [0.0, 0.6]


def test_an_attempt_goes_on_with_what_an_earlier_one_finished(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_WORKSPACE", str(tmp_path / "workspace"))
    first = evaluate(model, tmp_path / "first")
    second = evaluate(model, tmp_path / "second")
    assert first["system/generated_tokens"] > 0
    assert second["system/generated_tokens"] == 0
    assert scores(tmp_path / "first") == scores(tmp_path / "second")


def test_missing_data_say_which_file_to_put_where(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Agent0Error, match=r"put math_500\.jsonl"):
        evaluate(model, tmp_path / "out", benchmarks=["math_500"], data=str(tmp_path))
