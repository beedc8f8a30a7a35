from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent0.benchmarks.catalogue import benchmark
from agent0.evaluation.results import (
    BenchmarkScore,
    Cost,
    DecodingRecord,
    Estimate,
    EvaluationReport,
    QuestionScore,
    questions_file,
    write_results,
)
from agent0.evaluation.statistics import mean_at_k, pass_at_k
from agent0.promotion.claims import Run, read_runs

DAY = 86_400.0


def score(name: str, correct: Sequence[Sequence[bool]], **changes: Any) -> BenchmarkScore:
    mean = Estimate.of(mean_at_k(correct))
    given = {
        "benchmark": name,
        "rule": "the last box",
        "questions": len(correct),
        "published": benchmark(name).dataset.rows,
        "samples": len(correct[0]),
        "decoding": DecodingRecord(max_tokens=4096, temperature=0.0, top_p=1.0, top_k=-1),
        "score": mean,
        "mean_at_k": mean,
        "pass_at_k": {k: Estimate.of(pass_at_k(correct, k)) for k in {1, len(correct[0])}},
        "rates": {"invalid": mean.model_copy(update={"mean": 0.0, "low": 0.0})},
        "cost": Cost(prompt_tokens=120_000, completion_tokens=900_000, tool_calls=412, seconds=310.0, gpu_hours=0.7),
        "questions_file": questions_file(name),
    }
    return BenchmarkScore(**{**given, **changes})


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Write an evaluation whose share of right answers is given by benchmark; the same skill decides each question."""

    def make(name: str, shares: dict[str, tuple[float, int]], **changes: Any) -> Run:
        folder = tmp_path / name.replace(" ", "-")
        verdicts: dict[str, list[tuple[bool, ...]]] = {}
        for number, (bench, (share, samples)) in enumerate(shares.items()):
            skill = np.random.default_rng(number).random((min(600, benchmark(bench).dataset.rows), samples))
            verdicts[bench] = [tuple(map(bool, row)) for row in skill < share]
        scores = tuple(score(bench, correct) for bench, correct in verdicts.items())
        given = {
            "name": name,
            "model": "Qwen/Qwen3-8B-Base",
            "preset": "paper",
            "tool": True,
            "seed": 0,
            "code_version": "0123abc",
            "started_at": 1_760_000_000.0,
            "finished_at": 1_760_000_600.0,
            "benchmarks": scores,
        }
        report = EvaluationReport(**{**given, **changes})
        questions = {
            bench: [QuestionScore(id=f"q{i}", correct=row) for i, row in enumerate(correct)]
            for bench, correct in verdicts.items()
        }
        write_results(folder, report, questions)
        return read_runs([str(folder)])[0]

    return make
