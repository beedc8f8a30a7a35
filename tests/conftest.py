"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent0.config import SandboxSettings, TinyPretraining

pytest_plugins = ["servers.fixtures"]


@pytest.fixture(autouse=True)
def _quiet_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The embedded tokenizer, trained on a small corpus."""
    from agent0.tiny.pretrain import _render
    from agent0.tiny.tokenizer import train_tokenizer
    from agent0.tiny.transcripts import draw_transcript

    rng = random.Random(0)
    return train_tokenizer([_render(draw_transcript(rng, TinyPretraining())) for _ in range(500)], 420)


@pytest.fixture(scope="session")
def random_model(tokenizer: Any) -> Any:
    """A small model with random weights; tests must not change it."""
    import torch

    from agent0.tiny.pretrain import _new_model

    torch.manual_seed(0)
    return _new_model(TinyPretraining(hidden_size=32, layers=1, heads=2), tokenizer).eval()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Any]:
    """A running sandbox without preloaded modules."""
    from agent0.sandbox import SandboxPool

    with SandboxPool(SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0)) as pool:
        yield pool


@pytest.fixture
def write_evaluation(tmp_path: Path) -> Callable[..., Path]:
    """Write the record of an evaluation of 100 questions a benchmark, the first so many of which are right."""
    from agent0.evaluation.results import (
        BenchmarkScore,
        DecodingRecord,
        Estimate,
        EvaluationReport,
        QuestionScore,
        questions_file,
        write_results,
    )
    from agent0.evaluation.statistics import mean_at_k

    def write(name: str, right: dict[str, int], **changes: Any) -> Path:
        verdicts = {
            bench: [QuestionScore(id=f"q{i}", correct=(i < count,)) for i in range(100)]
            for bench, count in right.items()
        }
        scores = []
        for bench, questions in verdicts.items():
            mean = Estimate.of(mean_at_k([question.correct for question in questions]))
            decoding = DecodingRecord(max_tokens=64, temperature=0.0, top_p=1.0, top_k=-1)
            counted = {"questions": 100, "published": 100, "samples": 1, "score": mean, "mean_at_k": mean}
            rates = {rate: Estimate(mean=0, low=0, high=0) for rate in ("invalid", "truncated", "timeout", "error")}
            file = questions_file(bench)
            scores.append(
                BenchmarkScore(
                    benchmark=bench, rule="box", decoding=decoding, questions_file=file, rates=rates, **counted
                )
            )
        given = {
            "name": name,
            "model": f"models/{name}",
            "revision": "sha",
            "preset": "paper",
            "tool": True,
            "seed": 0,
            "code_version": "0123abc",
            "started_at": 100.0,
            "finished_at": 200.0,
            "benchmarks": tuple(scores),
        }
        write_results(tmp_path / name, EvaluationReport(**{**given, **changes}), verdicts)
        return tmp_path / name

    return write
